"""What the spokes let in, whoever asks, and what they do not."""

from collections.abc import Mapping
from math import inf
from typing import Any

from graders.admission.denials import by_a_policy
from graders.admission.records import AttemptAnswer
from graders.evidence.bundle import Bundle
from graders.evidence.records import ToolRun
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.kube.pointers import at_pointer
from graders.kube.workloads import is_ready
from graders.lab2.names import (
    ADMISSION,
    BAD_SERVICE,
    BAD_WORKLOAD,
    CACHE,
    ENGINE,
    ENVIRONMENTS,
    GATED,
    HUB,
    NAMESPACE,
    PREFLIGHT,
    REVIEW,
    WEB,
)
from graders.lab2.reading import FleetRecord, admitted, attempts_of, denied
from graders.lab2.rulebook import RULES, broken

_MAKES_PODS = frozenset({"Deployment", "StatefulSet", "Job"})


@check("gate-ci", tracks=(PREFLIGHT,), hint="Render every environment, and look at what comes out.")
def check_gate_ci(bundle: Bundle, facts: Facts) -> None:
    """The preflight refuses commits that break a rule in any environment, and passes the good ones."""
    runs = _preflights(bundle, "good", "bad")
    if not runs:
        raise Unmet("a preflight in submission.yaml", "there is none")
    facts["commits"], facts["slowest_s"] = len(runs), max(each.duration_s for each in runs)
    with Findings() as found:
        for run in runs:
            _, kind, name = run.tool.split("/")
            said = run.output.strip().splitlines()[-1:] or [""]
            seen = f"it {run.reason}: {said[0][:150]}"
            if kind == "good":
                found.expect(run.code == 0, f"the preflight passes {name}", seen)
            else:
                found.expect(run.code not in (0, None), f"the preflight refuses {name}", seen)


@check(
    "gate-direct",
    tracks=(ADMISSION,),
    hint="Policies that deny, bound on every spoke, for every namespace and for all that makes pods.",
)
def check_gate_direct(bundle: Bundle, facts: Facts) -> None:
    """An administrator who breaks R1 to R4 directly is denied, on each spoke and wherever it is tried."""
    record = FleetRecord(bundle, ADMISSION)
    looked = record.need("looked").t
    tried = attempts_of(bundle, "direct")
    facts["attempts"] = len(tried)
    with Findings() as found:
        for each in tried:
            case = f"{each.cluster}, {each.namespace}: {each.case.partition('/')[2]} ({each.rule}) denied"
            _kept_out(record, each, looked, case, found)


@check("gate-admits", tracks=(ADMISSION,), hint="A policy that denies all gates nothing.")
def check_gate_admits(bundle: Bundle, facts: Facts) -> None:
    """What looks odd and breaks no rule is admitted, and its pods are stored."""
    record = FleetRecord(bundle, ADMISSION)
    looked = record.need("looked").t
    tried = attempts_of(bundle, "admits")
    facts["attempts"] = len(tried)
    with Findings() as found:
        for each in tried:
            case = f"{each.cluster}, {each.namespace}: {each.case.partition('/')[2]} admitted"
            if not admitted(each):
                found.miss(f"answer {each.code} {each.message[:200]}", case)
            elif each.kind in _MAKES_PODS:
                found.expect(_pods(record, each, looked), f"{case}, with its pods", "no pod came")


@check(
    "gate-admission",
    tracks=(GATED,),
    hint="The engine is no exception: its writes go past the same policies.",
)
def check_gate_admission(bundle: Bundle, facts: Facts) -> None:
    """What breaks R2 and R4 and is committed is denied, and after the revert the fleet is settled again."""
    record = FleetRecord(bundle, GATED)
    added, looked = record.need("added").t, record.need("looked").t
    reverted = record.need("reverted").t
    tried = {name: _first_try(bundle, name, added) for name in ENVIRONMENTS}
    # Who waits before anybody tried waits for an earlier commit.
    first = min(tried.values())
    with Findings() as found:
        for environment in ENVIRONMENTS:
            found.expect(
                tried[environment] < inf or _waits_in_line(bundle, environment, first, looked),
                f"{ENGINE} tries to store in {environment} what extra/ holds",
                "it tried nothing of it",
            )
            services = record.seen(environment, "services", NAMESPACE)
            stored = [each for each in services if each.name == BAD_SERVICE and each.t >= added]
            found.expect(not stored, f"no Service of type NodePort in {environment}", "one was stored")
            pods = [
                each
                for each in record.seen(environment, "pods", NAMESPACE)
                if each.t >= added and _label(each.object) == BAD_WORKLOAD
            ]
            found.expect(not pods, f"no pod without bounds in {environment}", f"{len(pods)} were seen")
            for name in (WEB, CACHE):
                there = record.at(environment, "deployments", NAMESPACE, looked).get(name)
                ready = there is not None and is_ready(there)
                found.expect(ready, f"{name} in {environment} stays ready", "it is not")
        end = record.need("end").t
        facts["settled_after_s"] = round(end - reverted, 1)


def _first_try(bundle: Bundle, environment: str, since: float) -> float:
    """When the engine first tried to store a bad object, if only in a dry run: else nobody denied it."""
    return min(
        (
            event.t
            for event in bundle.on(environment).audit
            if event.user == ENGINE and event.name in (BAD_SERVICE, BAD_WORKLOAD) and event.t >= since
        ),
        default=inf,
    )


def _waits_in_line(bundle: Bundle, environment: str, since: float, until: float) -> bool:
    """Whether a Kustomization of an environment waited for another: the refusal there keeps it off.

    It may have begun to before anybody tried, and told no more since then.
    """
    waits: dict[tuple[str, str], bool] = {}
    for event in bundle.on(HUB).watch_events:
        if event.resource != "kustomizations" or event.t > until:
            continue
        target = at_pointer(event.object, ("spec", "kubeConfig", "secretRef", "name"))
        conditions = at_pointer(event.object, ("status", "conditions")) or ()
        waiting = (
            event.type != "DELETED"
            and target == f"{environment}-kubeconfig"
            and any(each.get("reason") == _WAITS for each in conditions)
        )
        if waiting and event.t >= since:
            return True
        waits[event.namespace, event.name] = waiting
    return since < until and any(waits.values())


_WAITS = "DependencyNotReady"


@check("policy-review", tracks=(REVIEW,), hint="One file for each rule that breaks nothing else.")
def check_policy_review(bundle: Bundle, facts: Facts) -> None:
    """The tests of the policies hold, and each rule has one that breaks nothing else."""
    FleetRecord(bundle, REVIEW).need("reviewed")
    registry = str(bundle.manifest.block["registry"])
    unsigned = str(bundle.manifest.block["unsigned"])
    covered: set[str] = set()
    with Findings() as found:
        for each in attempts_of(bundle, "review"):
            let_in = 200 <= each.code < 300
            good = "/pass/" in each.name
            word = "admitted" if good else "denied"
            in_order = let_in if good else by_a_policy(each.message) and denied(each)
            found.expect(in_order, f"{each.name} {word}", f"answer {each.code} {each.message[:200]}")
            # What no policy came to see may be no object of its kind at all.
            if not good and in_order and isinstance(each.object, Mapping):
                breaks = broken(each.object, registry, unsigned)
                covered |= breaks if len(breaks) == 1 else set()
        for rule in RULES:
            found.expect(
                rule in covered, f"a file in fail/ that breaks {rule} and nothing else", "there is none"
            )
        passing = [each for each in attempts_of(bundle, "review") if "/pass/" in each.name]
        found.expect(passing, "a file in pass/", "there is none")
        facts["files"] = len(attempts_of(bundle, "review"))


@check(
    "signing",
    tracks=(ADMISSION, PREFLIGHT),
    hint="Verify with keys/cosign.pub before a release, and admit only what was released.",
)
def check_signing(bundle: Bundle, facts: Facts) -> None:
    """Digests that are not signed, or not by the lab for themselves, do not run, nor are they released."""
    record = FleetRecord(bundle, ADMISSION)
    looked = record.need("looked").t
    tried, runs = attempts_of(bundle, "signing"), _preflights(bundle, "signed", "not-signed")
    facts["attempts"], facts["releases"] = len(tried), len(runs)
    with Findings() as found:
        for each in tried:
            case = f"{each.cluster}: a pod with an image {each.case.partition('/')[2]} denied"
            _kept_out(record, each, looked, case, found)
        found.expect(runs, "a preflight in submission.yaml", "there is none")
        for run in runs:
            _, kind, name = run.tool.split("/")
            seen = f"it {run.reason}"
            if kind == "signed":
                found.expect(run.code == 0, f"the preflight passes {name}", seen)
            else:
                found.expect(run.code not in (0, None), f"the preflight refuses {name}", seen)


def _preflights(bundle: Bundle, *kinds: str) -> list[ToolRun]:
    wanted = tuple(f"{PREFLIGHT}/{kind}/" for kind in kinds)
    return [each for each in bundle.tools if each.tool.startswith(wanted)]


def _kept_out(record: FleetRecord, each: AttemptAnswer, until: float, case: str, found: Findings) -> None:
    """See that an attempt was denied; of what makes pods, that no pod came of it."""
    if denied(each):
        return
    if each.kind in _MAKES_PODS:
        found.expect(not _pods(record, each, until), case, f"a pod of the {each.kind} was stored")
    else:
        found.miss(f"answer {each.code}", case)


def _pods(record: FleetRecord, asked: AttemptAnswer, until: float) -> bool:
    """Whether a pod of a workload was ever stored: its pods are labelled with its name."""
    return any(
        event.t <= until and _label(event.object) == asked.name
        for event in record.seen(asked.cluster, "pods", asked.namespace)
    )


def _label(item: Mapping[str, Any]) -> str:
    return str((item["metadata"].get("labels") or {}).get("app.kubernetes.io/name", ""))
