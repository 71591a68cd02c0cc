"""Releases: where they begin, in which order they go on, and what stops them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.lab2.deployments import digest_in, is_ready
from graders.lab2.fixednames import misnamed
from graders.lab2.names import (
    CACHE,
    ENGINE,
    ENVIRONMENTS,
    GATE,
    HUB,
    INSTALL,
    NAMESPACE,
    NOTE,
    PROMOTION,
    RACE,
    ROLLBACK,
    STEADY,
    WEB,
)
from graders.lab2.reading import FleetRecord, changes, engine_writes, told
from graders.lab2.records import Commit, Push

_FIRST, *_LATER = ENVIRONMENTS


@check("installs", tracks=(INSTALL,), hint="Look at the engine's log in bundle/logs, and at hub/ first.")
def check_installs(bundle: Bundle, facts: Facts) -> None:
    """Within promote and a minute everything is on three spokes, stored by the engine, and ready."""
    story = FleetRecord(bundle, INSTALL)
    for late in story.all("not-reached"):
        raise Unmet(f"{late.data['waiting_for']} in time", str(late.data["seen"]))
    applied, installed = story.mark("applied").t, story.need("installed").t
    facts["installed_s"] = round(installed - applied, 1)
    facts["engine"] = str(bundle.manifest.block.get("processes", bundle.manifest.block["engine"]))
    with Findings() as found:
        uids: dict[str, set[str]] = {}
        for environment in ENVIRONMENTS:
            there = story.at(environment, "deployments", NAMESPACE, installed)
            for name in (WEB, CACHE):
                if found.expect(name in there, f"Deployment {name} in {environment}", "it is not there"):
                    uids.setdefault(name, set()).add(str(there[name]["metadata"]["uid"]))
                makers = [
                    event.user
                    for event in bundle.on(environment).audit_by_place.get(("deployments", NAMESPACE), ())
                    if event.name == name and event.did == "create" and event.ok and event.is_write
                ]
                found.expect(
                    makers == [ENGINE],
                    f"Deployment {name} in {environment} made by {ENGINE}, once",
                    f"made by {', '.join(makers) or 'nobody'}",
                )
                if name in there:
                    _named_as_fixed(story, environment, name, found)
        for name, different in uids.items():
            found.equal(f"spokes that have a {name} of their own:", len(ENVIRONMENTS), len(different))
        on_hub = {event.name for event in bundle.on(HUB).watch_events if event.resource == "deployments"}
        found.expect(not on_hub, "no Deployment on the hub", f"there is {', '.join(sorted(on_hub))}")


def _named_as_fixed(story: FleetRecord, environment: str, name: str, found: Findings) -> None:
    """What goes with a Deployment may come after it: what is settled counts."""
    at = (story.all("settled") or story.all("installed"))[0].t
    there, services, accounts = (
        story.at(environment, resource, NAMESPACE, at)
        for resource in ("deployments", "services", "serviceaccounts")
    )
    if name in there:
        for expected, observed in misnamed(name, there[name], services, accounts):
            found.miss(observed, f"{environment}: {expected}")


@check(
    "dev-first",
    tracks=(PROMOTION,),
    hint="A verdict must be about the new spec: healthy at the old one says nothing.",
)
def check_dev_first(bundle: Bundle, facts: Facts) -> None:
    """A release is in dev within sync, and in no other environment before it is ready there."""
    story = FleetRecord(bundle, PROMOTION)
    release = story.released("v2")
    digest, since = str(release.data["digest"]), release.t
    applied = story.applied(_FIRST, digest, since)
    ready = story.ready(_FIRST, digest, since)
    with Findings(hint=story.hint(since)) as found:
        limit_s = story.limits.sync_s
        seen = f"it was there after {applied - since:.1f} s" if applied else "it never was"
        in_time = applied is not None and applied - since <= limit_s
        found.expect(in_time, f"v2 in {_FIRST} within {limit_s:.0f} s", seen)
        if applied is not None:
            facts["dev_after_s"] = round(applied - since, 1)
        for environment in _LATER:
            early = story.applied(environment, digest, since)
            found.expect(
                early is None or (ready is not None and early >= ready),
                f"v2 in {environment} only once it is ready in {_FIRST}",
                f"{ENGINE} stored it {_apart(early, ready)}",
            )


@check(
    "ordered", tracks=(PROMOTION,), hint="Let each environment wait for the one before, ready at this digest."
)
def check_ordered(bundle: Bundle, facts: Facts) -> None:
    """Each environment gets a release once it is ready in the one before, the last within promote."""
    story = FleetRecord(bundle, PROMOTION)
    release = story.released("v2")
    digest, since = str(release.data["digest"]), release.t
    with Findings(hint=story.hint(since)) as found:
        _in_order(story, digest, since, found)
        begun, ended = (story.ready(each, digest, since) for each in (_FIRST, ENVIRONMENTS[-1]))
        limit_s = story.limits.promote_s
        done = begun is not None and ended is not None and ended - begun <= limit_s
        took = f"{ended - begun:.1f} s" if begun and ended else "it never was"
        found.expect(done, f"v2 ready in prod within {limit_s:.0f} s of dev", took)
        if begun and ended:
            facts["promotion_s"] = round(ended - begun, 1)
        until = story.need("prod-ready").t if not story.all("missed") else float("inf")
        _one_replica_set_each(story, digest, since, until, found)


@check("health-gate", tracks=(GATE,), hint="Readiness decides, and its absence too.")
def check_health_gate(bundle: Bundle, facts: Facts) -> None:
    """A release that never gets ready in dev reaches no other environment, which stay as they were."""
    story = FleetRecord(bundle, GATE)
    release = story.released("v3")
    digest, since = str(release.data["digest"]), release.t
    until = story.released("v4").t
    applied = story.applied(_FIRST, digest, since)
    with Findings(hint=story.hint(since)) as found:
        limit_s = story.limits.sync_s
        in_time = applied is not None and applied - since <= limit_s
        seen = f"it was there after {applied - since:.1f} s" if applied else "it never was"
        found.expect(in_time, f"v3 in {_FIRST} within {limit_s:.0f} s", seen)
        for environment in _LATER:
            stored = [each for each in story.applies(environment, since, until) if each.digest == digest]
            found.expect(
                not stored,
                f"no v3 in {environment}, for it is never ready in {_FIRST}",
                f"{ENGINE} stored it {stored[0].t - since:.1f} s after the commit" if stored else "",
            )
            former = story.at(environment, "deployments", NAMESPACE, since).get(WEB)
            now = story.at(environment, "deployments", NAMESPACE, until).get(WEB)
            same = now is not None and digest_in(now) == digest_in(former) and is_ready(now)
            found.expect(
                same,
                f"{environment} ready at its former version",
                f"it is at {digest_in(now)[:19] or 'nothing'}",
            )
        facts["watched_s"] = round(until - since, 1)


@check("unblock", tracks=(GATE,), hint="A failed revision must not be tried for ever.")
def check_unblock(bundle: Bundle, facts: Facts) -> None:
    """After a release that failed, the next one reaches production unaided."""
    story = FleetRecord(bundle, GATE)
    release = story.released("v4")
    digest, since = str(release.data["digest"]), release.t
    limit_s = story.limits.promote_s + story.limits.timeout_s
    story.need("prod-ready", hint="Retry with the newest revision, and give up on one whose rollout failed.")
    ready = story.ready(ENVIRONMENTS[-1], digest, since)
    with Findings(hint=story.hint(since)) as found:
        took = f"{ready - since:.1f} s" if ready else "it never was"
        in_time = ready is not None and ready - since <= limit_s
        found.expect(in_time, f"v4 ready in prod within {limit_s:.0f} s", took)
    facts["unblocked_s"] = round((ready or 0.0) - since, 1)


@check("race", tracks=(RACE,), hint="Promote only what is ready now: look at digest and readiness together.")
def check_race(bundle: Bundle, facts: Facts) -> None:
    """No digest is in an environment before it was ready in the one before, even when overtaken."""
    story = FleetRecord(bundle, RACE)
    first, second = story.released("v5"), story.released("v6")
    with Findings(hint=story.hint(first.t)) as found:
        _nothing_thrown_away(bundle, found)
        for mark in (first, second):
            _in_order(story, str(mark.data["digest"]), first.t, found, skipped=mark is first)
        limit_s = 2 * story.limits.promote_s
        ready = story.ready(ENVIRONMENTS[-1], str(second.data["digest"]), second.t)
        took = f"{ready - second.t:.1f} s" if ready else "it never was"
        in_time = ready is not None and ready - second.t <= limit_s
        found.expect(in_time, f"v6 ready in prod within {limit_s:.0f} s", took)
        facts["overtaken_s"] = round(second.t - first.t, 1)


@check("steady", tracks=(STEADY,))
def check_steady(bundle: Bundle, facts: Facts) -> None:
    """The engine writes nothing to a settled fleet, and nothing when a commit is about no object."""
    story = FleetRecord(bundle, STEADY)
    story.need("window-over", nth=1)
    with Findings(hint="Look for random values, times, and two that write the same field.") as found:
        for nth, why in enumerate(("while nothing changed", f"when {NOTE} was committed")):
            since, until = story.mark("window", nth).t, story.mark("window-over", nth).t
            for environment in ENVIRONMENTS:
                for event in changes(bundle, environment, since, until):
                    found.miss(told(event), f"nothing written {why}")
        facts["windows_s"] = round(until - since, 1)


@check("rollback", tracks=(ROLLBACK,), hint="The way back is a release like any other.")
def check_rollback(bundle: Bundle, facts: Facts) -> None:
    """A reverted release is taken back in order, everywhere, and stays so."""
    story = FleetRecord(bundle, ROLLBACK)
    story.need("window-over", hint="The way back is a release like any other.")
    back = story.all("released")[-1]
    digest, since, until = str(back.data["digest"]), back.t, story.mark("window-over").t
    limit_s = story.limits.sync_s + story.limits.promote_s
    with Findings(hint=story.hint(since)) as found:
        _in_order(story, digest, since, found)
        for environment in ENVIRONMENTS:
            ready = story.ready(environment, digest, since)
            took = f"{ready - since:.1f} s" if ready else "it never was"
            in_time = ready is not None and ready - since <= limit_s
            found.expect(in_time, f"{environment} back within {limit_s:.0f} s", took)
            now = story.at(environment, "deployments", NAMESPACE, until).get(WEB)
            seen = "it is not ready" if digest_in(now) == digest else f"it is at {digest_in(now)[:19]}"
            stays = now is not None and digest_in(now) == digest and is_ready(now)
            found.expect(stays, f"{environment} stays ready at it", seen)
            for stored in story.applies(environment, ready or since, until):
                if ready and stored.digest != digest:
                    found.miss(f"{ENGINE} stored {stored.digest[:19]}", f"{environment} stays at it")
    facts["writes"] = sum(1 for each in ENVIRONMENTS for _ in engine_writes(bundle, each, since, until))


def _in_order(
    story: FleetRecord, digest: str, since: float, found: Findings, *, skipped: bool = False
) -> None:
    """Each environment after the first gets a digest once it is ready in the one before; perhaps never."""
    for before, environment in pairwise(ENVIRONMENTS):
        applied = story.applied(environment, digest, since)
        ready = story.ready(before, digest, since)
        if applied is None:
            found.expect(skipped, f"the release in {environment}", f"{ENGINE} never stored it")
            continue
        found.expect(
            ready is not None and applied >= ready,
            f"the release in {environment} once it is ready in {before}",
            f"{ENGINE} stored it {_apart(applied, ready)}",
        )


def _nothing_thrown_away(bundle: Bundle, found: Findings) -> None:
    """Every commit of the release manager stays an ancestor of the branch, in every story."""
    subjects = {commit.sha: commit.subject for commit in bundle.records(Commit)}
    for push in bundle.records(Push):
        lost = ", ".join(f"{subjects.get(sha, 'a commit')} ({sha[:12]})" for sha in push.lost[:3])
        found.expect(
            not push.lost,
            "every commit of the release manager stays on main",
            f"a forced push at {push.t:.1f} s threw away {lost}",
            hint="Push without force; fetch and build on what is there when the push is refused.",
        )
    released = Counter(commit.subject for commit in bundle.records(Commit) if commit.release)
    for subject, times in released.items():
        found.expect(
            times == 1,
            f"what {subject!r} was about stays on main",
            "a push undid it, and the release manager committed it again",
            hint="A merge that keeps one's own files loses what came in meanwhile: begin anew from there.",
        )


def _apart(applied: float | None, ready: float | None) -> str:
    if applied is None:
        return "never"
    if ready is None:
        return f"{applied:.1f} s into the run, and it never was ready there"
    return f"{ready - applied:.1f} s before that"


def _one_replica_set_each(
    story: FleetRecord, digest: str, since: float, until: float, found: Findings
) -> None:
    for environment in ENVIRONMENTS:
        made = story.replica_sets(environment, digest, since, until)
        found.expect(len(made) <= 1, f"one ReplicaSet for it in {environment}", f"there are {len(made)}")
