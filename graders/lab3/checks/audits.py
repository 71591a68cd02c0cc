"""Whether audits are of the course's own cluster, and what they found is answered."""

from collections.abc import Iterator, Sequence

from graders.audits.commandlines import demand_in, flag_value
from graders.audits.records import CommandLine, HunterRun
from graders.audits.results import (
    FAIL,
    PASS,
    WARN,
    BenchReport,
    BenchResult,
    HunterReport,
    hunter_report,
)
from graders.clusterctl.records import CONTROL_PLANE_PARTS
from graders.documents.fields import instant
from graders.evidence.bundle import Bundle
from graders.evidence.handedin import unmet
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.kube.nesting import read_json, shallow
from graders.lab3.documents.audits import KUBE_BENCH, KUBE_HUNTER, WAIVERS, Waivers, handed_in_bench
from graders.lab3.documents.backlog import MitigationBacklog
from graders.lab3.documents.handedin import Lab3Files
from graders.lab3.documents.report import read_report
from graders.lab3.names import AUDITS, BACKLOG, PAPERS
from graders.model import Capability

_LEAST = 15


@check(
    "audits",
    tracks=(PAPERS, AUDITS),
    needs=(Capability.ETCD_ACCESS,),
    hint="Run both tools against `kubeproof cluster up --lab lab3`, and hand in what they write as it is.",
)
def check_audits(bundle: Bundle, facts: Facts) -> None:
    """Your audits are of this cluster, and every failure is mended, planned or waived."""
    handin, lines = Lab3Files(bundle), {each.component: each.words for each in bundle.records(CommandLine)}
    seen = _seen_here(bundle)
    if lacking := [each for each in CONTROL_PLANE_PARTS if each not in lines]:
        raise InfraFault(f"the record has no command line of {', '.join(lacking)}")
    with unmet("audits as the tools write them, and waivers as the lab text describes them"):
        bench = handed_in_bench(handin)
        hunter = hunter_report(handin.json(KUBE_HUNTER), KUBE_HUNTER)
        with Findings("audits of the course's own cluster, each failure answered") as found:
            _agrees(bench, lines, facts, found)
            if seen is not None:
                _hunts_alike(hunter, seen, facts, found)
            _answered(handin, bench, hunter, found)
            if wrong := list(bench.wrong_sums()):
                told = f"{KUBE_BENCH}: {'; '.join(wrong[:3])}"
                found.miss(told, hint="Hand in the file as kube-bench wrote it.")


def _seen_here(bundle: Bundle) -> HunterReport | None:
    """What kube-hunter found here; None where it was left out."""
    runs = bundle.records(HunterRun)
    if runs and runs[-1].skipped:
        return None
    if not runs or not runs[-1].ok:
        raise InfraFault(f"kube-hunter {runs[-1].how if runs else 'was not run'}")
    seen = hunter_report(shallow(read_json(runs[-1].text.encode())), "the grader's own run")
    if not seen.services:
        raise InfraFault("kube-hunter found nothing to look at, so that it says nothing of the cluster")
    return seen


def _agrees(bench: BenchReport, lines: dict[str, tuple[str, ...]], facts: Facts, found: Findings) -> None:
    """What is said of each flag is what the command line gives."""
    judged: dict[str, int] = dict.fromkeys(CONTROL_PLANE_PARTS, 0)
    for component, result in bench.results():
        expected = _expected(result, lines.get(component))
        if not expected:
            continue
        if result.is_skipped:
            if expected[0] != PASS:
                found.miss(
                    f"{KUBE_BENCH}: {result.number} was skipped, and the command line of {component} fails "
                    f"it: {result.asks[:120]}",
                    hint="Run kube-bench without --skip; what fails is for the backlog, or for a waiver.",
                )
            continue
        judged[component] += 1
        if result.status not in expected:
            found.miss(
                f"{KUBE_BENCH}: {result.number} is {result.status}, and the command line of {component} "
                f"gives {expected[0]}: {result.asks[:120]}",
                hint="Audit the cluster of `kubeproof cluster up --lab lab3`, not another one.",
            )
    facts["judged"] = sum(judged.values())
    silent = ", ".join(name for name, number in judged.items() if not number)
    found.expect(
        facts["judged"] >= _LEAST and not silent,
        f"{_LEAST} results of one flag each, over {', '.join(CONTROL_PLANE_PARTS)}",
        f"{KUBE_BENCH} has {facts['judged']}{', and none of ' + silent if silent else ''}",
        "Run the groups of the API server, controller-manager, scheduler and etcd.",
    )


def _expected(result: BenchResult, words: Sequence[str] | None) -> tuple[str, ...]:
    """What its status may be; empty where that cannot be looked up."""
    demand = demand_in(result.asks)
    if words is None or demand is None or result.by_hand:
        return ()
    value = flag_value(words, demand.flag)
    if value is None and demand.may_lack:
        return ()
    if demand.holds(value):
        return (PASS,)
    return (FAIL,) if result.scored else (FAIL, WARN)


def _hunts_alike(told: HunterReport, seen: HunterReport, facts: Facts, found: Findings) -> None:
    facts["vids"] = sorted(seen.vids)
    for vid in sorted(told.vids - seen.vids):
        found.miss(f"{KUBE_HUNTER} has {vid}, and here kube-hunter does not find it")
    for vid in sorted(seen.vids - told.vids):
        found.miss(f"kube-hunter finds {vid} here, and {KUBE_HUNTER} does not have it")


def _answered(handin: Lab3Files, bench: BenchReport, hunter: HunterReport, found: Findings) -> None:
    """Each failure has an item of the backlog, or a waiver that holds."""
    wanting = [("kube-bench", each.number) for _, each in bench.results() if each.status == FAIL]
    wanting += [("kube-hunter", vid) for vid in sorted(hunter.vids)]
    if not wanting:
        return
    items = handin.read(BACKLOG, MitigationBacklog).items
    planned = {each.finding for each in items}
    planned |= {name for each in items for kind, name in each.verify_by.named if kind == "audit"}
    waived = dict(_waived(handin))
    last = max((each.finished for each in read_report(handin).front.experiments), key=instant, default="")
    for tool, name in wanting:
        until = waived.get((tool, name))
        if name in planned:
            continue
        if until is None:
            found.miss(
                f"{tool} {name} fails, and neither {BACKLOG} nor {WAIVERS} has it",
                hint="Name it as the finding or the verify_by.audit of an item, or waive it with a reason.",
            )
        elif last and instant(until) <= instant(last):
            found.miss(
                f"{WAIVERS}: that of {tool} {name} ended {until}, before the last experiment had finished"
            )


def _waived(handin: Lab3Files) -> Iterator[tuple[tuple[str, str], str]]:
    if WAIVERS in handin.files:
        for each in handin.read(WAIVERS, Waivers).waivers:
            yield (each.tool, each.id), each.until
