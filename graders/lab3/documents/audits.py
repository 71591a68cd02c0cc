"""Results of audits as they were handed in, and what the learner waives of them."""

from typing import Annotated, Literal

from pydantic import Field

from graders.audits.results import BenchReport, bench_report, hunter_report
from graders.documents import Strict
from graders.documents.fields import Stamp, Text
from graders.lab3.documents.handedin import Lab3Files

KUBE_BENCH, KUBE_HUNTER = "audits/kube-bench.json", "audits/kube-hunter.json"
WAIVERS = "audits/waivers.yaml"


class Waiver(Strict):
    """What is left as it is, why, and until when."""

    tool: Literal["kube-bench", "kube-hunter"]
    id: Text
    reason: Text
    until: Stamp


class Waivers(Strict):
    """audits/waivers.yaml."""

    declared: Annotated[Literal["kubeproof/lab3-waivers/v1"], Field(alias="schema")]
    waivers: list[Waiver]


def handed_in_bench(handin: Lab3Files) -> BenchReport:
    """The results of kube-bench that were handed in; raises as `Lab3Files.json`, or LocatedError."""
    return bench_report(handin.json(KUBE_BENCH), KUBE_BENCH)


def audit_ids(handin: Lab3Files) -> frozenset[str]:
    """The ids of all that the audits of a hand-in say anything about; raises as `handed_in_bench`."""
    ids: set[str] = set()
    if KUBE_BENCH in handin.files:
        ids |= {each.number for _, each in handed_in_bench(handin).results()}
    if KUBE_HUNTER in handin.files:
        ids |= hunter_report(handin.json(KUBE_HUNTER), KUBE_HUNTER).vids
    return frozenset(ids)
