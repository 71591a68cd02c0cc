"""Where the time of a run went: the chain of waits that decided when it ended.

Read backwards from the track that ended last: what it waited for last, what it waited for before that.
Where it waited for another track, the chain goes on in that one; where nothing was waited for, it acted.
A bundle without `Wait` records still tells its stages, and which track ended last.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from graders.evidence.bundle import Bundle
from graders.evidence.records import Wait
from graders.model import GradeReport
from graders.reports.text import one_line

SHORT_S = 0.05
"""Less between two waits is nothing worth telling."""

_AT_ONCE_S = 1.0
_INSTALLS = "install"


@dataclass(frozen=True)
class Step:
    """One link of the chain, in seconds of the run; `track` is empty for what belongs to all.

    `kind` is `setup`, `condition`, `rest`, `acting`, `tool`, `restart` or `end`.
    """

    start: float
    end: float
    track: str
    kind: str
    what: str

    @property
    def told(self) -> str:
        """What happened, as a person says it."""
        return f"waiting for {self.what}" if self.kind in ("condition", "rest") else self.what

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


def critical_path(report: GradeReport, bundle: Bundle | None) -> tuple[Step, ...]:
    """The chain in the order of time, without gaps; empty for a bundle in which no track ran."""
    if bundle is None:
        return ()
    # A track that spans the run from its first moment stands for the run itself.
    ran = {name: result for name, result in bundle.manifest.tracks.items() if result.started > 0}
    if not ran:
        return ()
    last = max(ran, key=lambda name: ran[name].ended)
    chain = _Chain(bundle).back_from(last, ran[last].ended)
    return tuple(_joined([*chain, *_afterwards(report, bundle, ran[last].ended)]))


class _Chain:
    """Follows a run backwards."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.waits = [wait for wait in bundle.waits if wait.t_end > wait.t]
        self.marked = {mark.track for mark in bundle.marks}

    def back_from(self, track: str, end: float) -> list[Step]:
        """The steps up to the end of `track`, in the order of time."""
        steps: list[Step] = []
        followed: set[tuple[str, float]] = set()
        now = end
        while True:
            wait = self._before(now, {track})
            if wait is None:
                steps += self._worked(track, now)
                now = self._began(track, now)
                before = self._just_before(now)
                if not before:
                    steps += self._setup(track, now)
                    break
                track, now = before, self.bundle.manifest.tracks[before].ended
                continue
            steps += self._acted(track, wait.t_end, now)
            now = wait.t_end
            if wait.kind == "restart":
                steps += self._restart(wait)
                now = wait.t
                continue
            released = self._released_by(wait)
            if released and (released, now) not in followed and wait.t_end - wait.t > SHORT_S:
                followed.add((track := released, now))
            else:
                kind = wait.kind if wait.kind == "rest" else "condition"
                steps.append(Step(wait.t, wait.t_end, track, kind, one_line(wait.what, 160)))
                now = wait.t
        return steps[::-1]

    def _before(self, now: float, tracks: Collection[str], inside: float | None = None) -> Wait | None:
        """The wait of `tracks` that ended last, at `now` or before; `inside` is when a restart began."""
        ended = (
            wait
            for wait in self.waits
            if wait.track in tracks
            and wait.t_end <= now
            and (inside is None or (wait.kind != "restart" and wait.t >= inside))
        )
        return max(ended, key=lambda wait: (wait.t_end, -wait.t), default=None)

    def _released_by(self, wait: Wait) -> str:
        """The track that this one waited for; of a turn, the one that had it just before."""
        if wait.kind == "others":
            return wait.released_by if wait.released_by != wait.track else ""
        turns = [w for w in self.waits if w.kind == "turn" == wait.kind and w.t_end < wait.t_end]
        return max(turns, key=lambda w: w.t_end).track if turns else ""

    def _restart(self, wait: Wait) -> Iterator[Step]:
        """What decided how long the restart took: whoever got ready last, and whoever looked on longest."""
        members = {
            each.track for each in self.waits if each.kind == "restart" and abs(each.t - wait.t) < _AT_ONCE_S
        }
        now, track = wait.t_end, wait.track
        while (inner := self._before(now, members, wait.t)) is not None:
            yield from self._restarted(track, inner.t_end, now)
            yield Step(inner.t, inner.t_end, inner.track, inner.kind, one_line(inner.what, 160))
            now, track = inner.t, inner.track
        yield from self._restarted(track, wait.t, now)

    def _restarted(self, track: str, start: float, end: float) -> Iterator[Step]:
        killed = any(each.event == "killed" and start <= each.t <= end for each in self.bundle.processes)
        if killed and end - start > SHORT_S:
            what = "the operator is killed and comes back, for all tracks at once"
            yield Step(start, end, "", "restart", what)
        elif not killed:
            yield from self._acted(track, start, end)

    def _acted(self, track: str, start: float, end: float) -> Iterator[Step]:
        """A stretch in which `track` did not wait for anything; the last mark in it says what it did."""
        if end - start <= SHORT_S:
            return
        marks = [mark.name for mark in self.bundle.marks if mark.track == track and start < mark.t <= end]
        what = f"acting, up to its mark '{one_line(marks[-1], 40)}'" if marks else "acting"
        if not self.bundle.waits:
            what = "acting; no wait is on record"
        yield Step(start, end, track, "acting", what)

    def _began(self, track: str, now: float) -> float:
        result = self.bundle.manifest.tracks.get(track)
        return min(result.started, now) if result is not None else now

    def _just_before(self, started: float) -> str:
        """The track that was over when this one began, where they are told one after another."""
        over = {
            name: result.ended
            for name, result in self.bundle.manifest.tracks.items()
            if 0 < result.started < started and started - _AT_ONCE_S < result.ended <= started
        }
        return max(over, key=lambda name: over[name], default="")

    def _worked(self, track: str, now: float) -> Iterator[Step]:
        """From `now` back to where `track` began, in which it waited for nothing."""
        started = self._began(track, now)
        if track not in self.marked:
            # A track that leaves no mark runs tools.
            for tool in reversed(self.bundle.tools):
                begun = tool.t - tool.duration_s
                if started <= begun and tool.t <= now and tool.duration_s > SHORT_S:
                    yield from self._acted(track, tool.t, now)
                    yield Step(begun, tool.t, track, "tool", f"running {one_line(tool.tool, 40)}")
                    now = begun
        yield from self._acted(track, started, now)

    def _setup(self, track: str, now: float) -> Iterator[Step]:
        cluster = min(self.bundle.manifest.timing.get("cluster_start", 0.0), now)
        installs = [request.t for request in self.bundle.requests if request.track == _INSTALLS]
        spaces = [mark.t for mark in self.bundle.marks if mark.track == track and mark.t <= now]
        apart = any(each.instance.startswith(f"{track}-operator-") for each in self.bundle.processes)
        begun = min([t for t in installs if cluster <= t <= now], default=now)
        installed = max(min(spaces, default=now), begun)
        # Older bundles have it in the recording, and no time of preparing.
        built = "" if "prepare" in self.bundle.manifest.timing else "building the submission and "
        there = f"in the cluster that {one_line(track, 40)} has to itself" if apart else ""
        stages = (
            (installed, now, "starting the submission, up to its first successful request"),
            (
                begun,
                installed,
                "starting another cluster, and installing there" if apart else "installing the manifests",
            ),
            (cluster, begun, f"{built}measuring the machine"),
            (0.0, cluster, "starting the cluster"),
        )
        for start, end, what in stages:
            if end - start > SHORT_S:
                yield Step(start, end, "", "setup", f"{what} {there}".rstrip() if end == now else what)


def _afterwards(report: GradeReport, bundle: Bundle, now: float) -> Iterator[Step]:
    """What followed the last track; what no clock of the run saw is told as one piece."""
    timing = report.timing
    acted = sum(bundle.manifest.timing.get(name, 0.0) for name in ("cluster_start", "scenario"))
    judged = max(acted, now) + timing.get("judge", 0.0)
    whole = timing.get("total", 0.0)
    stages = (
        (now, acted, "stopping what runs"),
        (max(acted, now), judged, "judging"),
        (
            judged,
            whole,
            "outside the recording: reading the submission, removing clusters, an earlier try if any",
        ),
    )
    for start, end, what in stages:
        if end - start > SHORT_S:
            yield Step(start, end, "", "end", what)


def _joined(steps: Sequence[Step]) -> Iterator[Step]:
    """Steps that go on in the same way are one; what lies between two is given to the later one."""
    now = 0.0
    told = [step for step in steps if step.seconds > SHORT_S]
    for (track, kind, what), group in itertools.groupby(told, key=lambda s: (s.track, s.kind, s.what)):
        same = list(group)
        yield Step(now, same[-1].end, track, kind, what)
        now = same[-1].end


def longest(steps: Sequence[Step], count: int) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The `count` longest steps in the order of time, and the others."""
    kept = set(sorted(range(len(steps)), key=lambda i: -steps[i].seconds)[:count])
    return (
        tuple(step for i, step in enumerate(steps) if i in kept),
        tuple(step for i, step in enumerate(steps) if i not in kept),
    )
