"""Results of kube-bench and kube-hunter, as the tools write them. Pure."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from graders.clusterctl.records import CONTROL_PLANE_PARTS
from graders.documents import Document, parse
from graders.documents.fields import Text

PASS, FAIL, WARN = "PASS", "FAIL", "WARN"
_COUNTED = {"pass": PASS, "fail": FAIL, "warn": WARN, "info": "INFO"}
_SECTIONS = {
    "api server": "kube-apiserver",
    "controller manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "etcd": "etcd",
}
_NAMED = re.compile("|".join(sorted(CONTROL_PLANE_PARTS, key=len, reverse=True)))


class _Written(BaseModel):
    """What a tool writes has more in it than anybody reads."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class BenchResult(_Written):
    """One result of kube-bench."""

    number: Annotated[Text, Field(alias="test_number")]
    asks: Annotated[str, Field(alias="test_desc")]
    status: Literal["PASS", "FAIL", "WARN", "INFO"]
    audit: str = ""
    kind: Annotated[str, Field(alias="type")] = ""
    scored: bool = True

    @property
    def by_hand(self) -> bool:
        """Whether the tool leaves it to people, and so says nothing of what it found."""
        return self.status not in (PASS, FAIL) and self.kind == "manual"

    @property
    def is_skipped(self) -> bool:
        """Whether somebody told the tool to leave it out."""
        return self.status not in (PASS, FAIL) and self.kind == "skip"


class BenchSection(_Written):
    """One section, such as 1.2."""

    section: Text
    title: Annotated[str, Field(alias="desc")]
    passed: Annotated[int, Field(alias="pass")]
    failed: Annotated[int, Field(alias="fail")]
    warned: Annotated[int, Field(alias="warn")]
    informed: Annotated[int, Field(alias="info")] = 0
    results: list[BenchResult] | None

    def component_of(self, result: BenchResult) -> str:
        """The process that a result is about; empty where none is named."""
        if named := _NAMED.search(result.audit):
            return named.group()
        title = self.title.lower()
        return next((name for words, name in _SECTIONS.items() if words in title), "")


class _Totals(_Written):
    total_pass: int
    total_fail: int
    total_warn: int
    total_info: int = 0

    @property
    def told(self) -> dict[str, int]:
        return {
            PASS: self.total_pass, FAIL: self.total_fail, WARN: self.total_warn, "INFO": self.total_info,
        }  # fmt: skip


class BenchControls(_Totals):
    """One benchmark, such as that of the control plane."""

    id: Text
    tests: list[BenchSection] | None


class BenchReport(_Written):
    """What `kube-bench --json` prints."""

    controls: Annotated[list[BenchControls], Field(alias="Controls", min_length=1)]
    totals: Annotated[_Totals, Field(alias="Totals")]

    def results(self) -> Iterator[tuple[str, BenchResult]]:
        """Each result with the process that it is about."""
        for controls in self.controls:
            for section in controls.tests or ():
                for result in section.results or ():
                    yield section.component_of(result), result

    def wrong_sums(self) -> Iterator[str]:
        """Where totals do not add up, in words."""
        whole = dict.fromkeys(_COUNTED.values(), 0)
        for controls in self.controls:
            part = dict.fromkeys(whole, 0)
            for section in controls.tests or ():
                counted: list[str] = [each.status for each in section.results or ()]
                told = (section.passed, section.failed, section.warned, section.informed)
                for status, number in zip(whole, told, strict=True):
                    part[status] += counted.count(status)
                    if counted.count(status) != number:
                        there = counted.count(status)
                        yield f"section {section.section} says {number} {status}, and there are {there}"
            for status, number in controls.told.items():
                whole[status] += part[status]
                if part[status] != number:
                    yield f"control {controls.id} says {number} {status}, and there are {part[status]}"
        for status, number in self.totals.told.items():
            if whole[status] != number:
                yield f"Totals says {number} {status}, and there are {whole[status]}"


class HunterService(_Written):
    """What kube-hunter found to look at."""

    service: str
    location: str


class HunterVulnerability(_Written):
    """What kube-hunter found."""

    vid: Text


class HunterReport(_Written):
    """What `kube-hunter --report json` prints."""

    services: list[HunterService]
    vulnerabilities: list[HunterVulnerability]

    @property
    def vids(self) -> frozenset[str]:
        """The ids of what was found."""
        return frozenset(each.vid for each in self.vulnerabilities)


def bench_report(data: object, where: str) -> BenchReport:
    """The results of kube-bench.

    Raises:
        LocatedError: they are none.
    """
    return parse(Document(data, {}, where), BenchReport)


def hunter_report(data: object, where: str) -> HunterReport:
    """The results of kube-hunter.

    Raises:
        LocatedError: they are none.
    """
    return parse(Document(data, {}, where), HunterReport)
