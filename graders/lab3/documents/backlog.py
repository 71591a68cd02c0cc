"""The backlog of mitigations: what is to be done, by whom, until when, and how that is seen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from graders.documents import Strict, misfit
from graders.documents.fields import Stamp, Text

PROJECT = "PROJ-304"


class VerifyBy(Strict):
    """What shows that an item helped; one of the three."""

    scenario: Text | None = None
    experiment: Text | None = None
    audit: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> VerifyBy:
        if len(self.named) != 1:
            raise misfit("names no single way to verify", "write one of scenario, experiment, audit")
        return self

    @property
    def named(self) -> list[tuple[str, str]]:
        """Which of the three, and its name."""
        pairs = (
            ("scenario", self.scenario), ("experiment", self.experiment), ("audit", self.audit),
        )  # fmt: skip
        return [(kind, name) for kind, name in pairs if name is not None]


class ExpectedEffect(Strict):
    """By how much it should help."""

    metric: Literal["rto_s", "rpo_s", "status"]
    before: Annotated[float | int | str, Field(alias="from")]
    after: Annotated[float | int | str, Field(alias="to")]


class BacklogItem(Strict):
    """One item; `mitigation` names its folder of manifests where it is done."""

    id: Text
    finding: Text
    type: Literal["detect", "mitigate", "prevent", "repair"]
    action: Text
    owner: Text
    priority: Literal["P0", "P1", "P2", "P3"]
    due: Stamp
    verify_by: VerifyBy
    expected: ExpectedEffect
    status: Literal["open", "done", "accepted"]
    mitigation: Text | None = None
    links: Annotated[list[Text], Field(min_length=1)]

    @property
    def in_project(self) -> bool:
        """Whether a link leads to the project, or below it."""
        return any(link == PROJECT or link.startswith(f"{PROJECT}/") for link in self.links)


class MitigationBacklog(Strict):
    """backlog.yaml."""

    declared: Annotated[Literal["kubeproof/lab3-backlog/v1"], Field(alias="schema")]
    items: Annotated[list[BacklogItem], Field(min_length=1)]
