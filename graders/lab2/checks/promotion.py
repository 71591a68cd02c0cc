"""Releases: where they begin, in which order they go on, and what stops them."""

from collections import Counter
from itertools import pairwise

from graders.evidence.bundle import Bundle
from graders.gitops.records import Commit, Push
from graders.judging import Facts, Findings, check
from graders.kube.workloads import digest_in, is_ready
from graders.lab2.names import (
    ENGINE,
    ENVIRONMENTS,
    GATE,
    NAMESPACE,
    PROMOTION,
    RACE,
    ROLLBACK,
    WEB,
)
from graders.lab2.reading import FleetRecord, engine_writes

_FIRST, *_LATER = ENVIRONMENTS


@check(
    "dev-first",
    tracks=(PROMOTION,),
    hint="A verdict must be about the new spec: healthy at the old one says nothing.",
)
def check_dev_first(bundle: Bundle, facts: Facts) -> None:
    """A release is in dev within sync, and in no other environment before it is ready there."""
    record = FleetRecord(bundle, PROMOTION)
    release = record.released("v2")
    digest, since = str(release.data["digest"]), release.t
    applied = record.applied(_FIRST, digest, since)
    ready = record.ready(_FIRST, digest, since)
    with Findings(hint=record.hint(since)) as found:
        limit_s = record.limits.sync_s
        seen = f"it was there after {applied - since:.1f} s" if applied else "it never was"
        in_time = applied is not None and applied - since <= limit_s
        found.expect(in_time, f"v2 in {_FIRST} within {limit_s:.0f} s", seen)
        if applied is not None:
            facts["dev_after_s"] = round(applied - since, 1)
        for environment in _LATER:
            early = record.applied(environment, digest, since)
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
    record = FleetRecord(bundle, PROMOTION)
    release = record.released("v2")
    digest, since = str(release.data["digest"]), release.t
    with Findings(hint=record.hint(since)) as found:
        _in_order(record, digest, since, found)
        begun, ended = (record.ready(each, digest, since) for each in (_FIRST, ENVIRONMENTS[-1]))
        limit_s = record.limits.promote_s
        done = begun is not None and ended is not None and ended - begun <= limit_s
        took = f"{ended - begun:.1f} s" if begun and ended else "it never was"
        found.expect(done, f"v2 ready in prod within {limit_s:.0f} s of dev", took)
        if begun and ended:
            facts["promotion_s"] = round(ended - begun, 1)
        until = record.need("prod-ready").t if not record.all("missed") else float("inf")
        _one_replica_set_each(record, digest, since, until, found)


@check("health-gate", tracks=(GATE,), hint="Readiness decides, and its absence too.")
def check_health_gate(bundle: Bundle, facts: Facts) -> None:
    """A release that never gets ready in dev reaches no other environment, which stay as they were."""
    record = FleetRecord(bundle, GATE)
    release = record.released("v3")
    digest, since = str(release.data["digest"]), release.t
    until = record.released("v4").t
    applied = record.applied(_FIRST, digest, since)
    with Findings(hint=record.hint(since)) as found:
        limit_s = record.limits.sync_s
        in_time = applied is not None and applied - since <= limit_s
        seen = f"it was there after {applied - since:.1f} s" if applied else "it never was"
        found.expect(in_time, f"v3 in {_FIRST} within {limit_s:.0f} s", seen)
        for environment in _LATER:
            stored = [each for each in record.applies(environment, since, until) if each.digest == digest]
            found.expect(
                not stored,
                f"no v3 in {environment}, for it is never ready in {_FIRST}",
                f"{ENGINE} stored it {stored[0].t - since:.1f} s after the commit" if stored else "",
            )
            former = record.at(environment, "deployments", NAMESPACE, since).get(WEB)
            now = record.at(environment, "deployments", NAMESPACE, until).get(WEB)
            same = now is not None and digest_in(now, WEB) == digest_in(former, WEB) and is_ready(now)
            found.expect(
                same,
                f"{environment} ready at its former version",
                f"it is at {digest_in(now, WEB)[:19] or 'nothing'}",
            )
        facts["watched_s"] = round(until - since, 1)


@check("unblock", tracks=(GATE,), hint="A failed revision must not be tried for ever.")
def check_unblock(bundle: Bundle, facts: Facts) -> None:
    """After a release that failed, the next one reaches production unaided."""
    record = FleetRecord(bundle, GATE)
    release = record.released("v4")
    digest, since = str(release.data["digest"]), release.t
    limit_s = record.limits.promote_s + record.limits.timeout_s
    record.need("prod-ready", hint="Retry with the newest revision, and give up on one whose rollout failed.")
    ready = record.ready(ENVIRONMENTS[-1], digest, since)
    with Findings(hint=record.hint(since)) as found:
        took = f"{ready - since:.1f} s" if ready else "it never was"
        in_time = ready is not None and ready - since <= limit_s
        found.expect(in_time, f"v4 ready in prod within {limit_s:.0f} s", took)
    facts["unblocked_s"] = round((ready or 0.0) - since, 1)


@check("race", tracks=(RACE,), hint="Promote only what is ready now: look at digest and readiness together.")
def check_race(bundle: Bundle, facts: Facts) -> None:
    """No digest is in an environment before it was ready in the one before, even when overtaken."""
    record = FleetRecord(bundle, RACE)
    first, second = record.released("v5"), record.released("v6")
    with Findings(hint=record.hint(first.t)) as found:
        _nothing_thrown_away(bundle, found)
        for mark in (first, second):
            _in_order(record, str(mark.data["digest"]), first.t, found, skipped=mark is first)
        limit_s = 2 * record.limits.promote_s
        ready = record.ready(ENVIRONMENTS[-1], str(second.data["digest"]), second.t)
        took = f"{ready - second.t:.1f} s" if ready else "it never was"
        in_time = ready is not None and ready - second.t <= limit_s
        found.expect(in_time, f"v6 ready in prod within {limit_s:.0f} s", took)
        facts["overtaken_s"] = round(second.t - first.t, 1)


@check("rollback", tracks=(ROLLBACK,), hint="The way back is a release like any other.")
def check_rollback(bundle: Bundle, facts: Facts) -> None:
    """A reverted release is taken back in order, everywhere, and stays so."""
    record = FleetRecord(bundle, ROLLBACK)
    record.need("window-over", hint="The way back is a release like any other.")
    back = record.all("released")[-1]
    digest, since, until = str(back.data["digest"]), back.t, record.mark("window-over").t
    limit_s = record.limits.sync_s + record.limits.promote_s
    with Findings(hint=record.hint(since)) as found:
        _in_order(record, digest, since, found)
        for environment in ENVIRONMENTS:
            ready = record.ready(environment, digest, since)
            took = f"{ready - since:.1f} s" if ready else "it never was"
            in_time = ready is not None and ready - since <= limit_s
            found.expect(in_time, f"{environment} back within {limit_s:.0f} s", took)
            now = record.at(environment, "deployments", NAMESPACE, until).get(WEB)
            seen = (
                "it is not ready" if digest_in(now, WEB) == digest else f"it is at {digest_in(now, WEB)[:19]}"
            )
            stays = now is not None and digest_in(now, WEB) == digest and is_ready(now)
            found.expect(stays, f"{environment} stays ready at it", seen)
            for stored in record.applies(environment, ready or since, until):
                if ready and stored.digest != digest:
                    found.miss(f"{ENGINE} stored {stored.digest[:19]}", f"{environment} stays at it")
    facts["writes"] = sum(1 for each in ENVIRONMENTS for _ in engine_writes(bundle, each, since, until))


def _in_order(
    record: FleetRecord, digest: str, since: float, found: Findings, *, skipped: bool = False
) -> None:
    """Each environment after the first gets a digest once it is ready in the one before; perhaps never."""
    for before, environment in pairwise(ENVIRONMENTS):
        applied = record.applied(environment, digest, since)
        ready = record.ready(before, digest, since)
        if applied is None:
            found.expect(skipped, f"the release in {environment}", f"{ENGINE} never stored it")
            continue
        found.expect(
            ready is not None and applied >= ready,
            f"the release in {environment} once it is ready in {before}",
            f"{ENGINE} stored it {_apart(applied, ready)}",
        )


def _nothing_thrown_away(bundle: Bundle, found: Findings) -> None:
    """Every commit of the release manager stays an ancestor of the branch, in every record."""
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
    record: FleetRecord, digest: str, since: float, until: float, found: Findings
) -> None:
    for environment in ENVIRONMENTS:
        made = record.replica_sets(environment, digest, since, until)
        found.expect(len(made) <= 1, f"one ReplicaSet for it in {environment}", f"there are {len(made)}")
