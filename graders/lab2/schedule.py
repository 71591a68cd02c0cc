"""Which tracks a fleet goes through, in what order, and which of them side by side."""

from collections.abc import Callable, Collection

from graders.evidence.manifest import TrackResult
from graders.evidence.recording import Recording
from graders.lab2.context import FleetContext
from graders.lab2.livefleet import LiveFleet
from graders.lab2.names import (
    ADMISSION,
    CLOSED,
    DRIFT,
    GATE,
    GATED,
    INSTALL,
    OUTAGE,
    PROMOTION,
    PRUNE,
    RACE,
    REVIEW,
    RIGHTS,
    ROLLBACK,
    SECRETS,
    SERVING,
    STEADY,
)
from graders.lab2.tracks import (
    admission,
    drift,
    failclosed,
    install,
    outage,
    promotion,
    pruning,
    review,
    secrets,
    steadiness,
)
from graders.progress import Progress
from graders.scenario.tracks import RestartGate, Track, run_tracks

SCHEDULE: tuple[tuple[Track[FleetContext], ...], ...] = (
    (Track(INSTALL, install.install, "the fleet comes up from Git"),),
    (Track(PROMOTION, promotion.promotion, "v2 from dev to prod"),),
    (Track(GATE, promotion.gate, "v3, never ready, then v4"),),
    (Track(RACE, promotion.race, "v5, overtaken by v6"),),
    (
        Track(STEADY, steadiness.steady, "a settled fleet, left alone"),
        Track(RIGHTS, admission.rights, "what the engine may do"),
        Track(ADMISSION, admission.direct, "attempts against the policies"),
        Track(REVIEW, review.review, "the policies' own tests"),
    ),
    (Track(DRIFT, drift.drift, "somebody changes what Git declares"),),
    (
        Track(PRUNE, pruning.prune, "extras that come and go"),
        Track(SECRETS, secrets.replace_secrets, "new tokens through Git"),
    ),
    (Track(GATED, admission.through_git, "what breaks the rules, by Git"),),
    (Track(CLOSED, failclosed.fail_closed, "policies without what they need"),),
    (Track(ROLLBACK, promotion.rollback, "the last release is taken back"),),
    (Track(OUTAGE, outage.engine_loss, "v7, with staging away and the engine killed"),),
)
"""In their order; each begins with a settled fleet.

Those of one row run side by side: while nobody may write for the engine, others ask and are denied; new
tokens do not meet the extras.
"""


def run_schedule(
    fleet: LiveFleet, selection: Collection[str], recording: Recording, progress: Progress
) -> dict[str, TrackResult]:
    """Run every chosen track in its order; where no fleet comes up, none but the first."""
    results: dict[str, TrackResult] = {}
    for row in SCHEDULE:
        wanted = [each for each in row if each.name in selection or each.name == INSTALL]
        chosen = [each for each in wanted if each.name != OUTAGE or outage.possible(fleet)]
        if not chosen:
            continue
        contexts = {each.name: FleetContext(each.name, fleet) for each in chosen}
        if fleet.installed or INSTALL in contexts:
            gate = RestartGate((), (), _nothing)
            results |= run_tracks(chosen, contexts, gate, recording, progress)
            continue
        for name, context in contexts.items():
            seen = ": ".join(("they did not come up from Git", *fleet.lacking))
            context.mark("missed", waiting_for=SERVING, seen=seen)
            now = recording.clock.now()
            results[name] = TrackResult("done", now, now)
    return results


_nothing: Callable[[], None] = lambda: None  # noqa: E731
