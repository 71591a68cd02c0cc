"""Lab 3's part of submission.yaml: workload, experiments, disaster recovery, and the targets for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from graders.documents import Strict, misfit
from graders.documents.fields import Seconds
from graders.documents.wording import quote
from graders.lab3.handin import Lab3Manifest, manifest_from
from graders.lab3.names import CEILINGS, SERVING
from graders.submissions.block import LabBlock, SubmissionPath

_SLUG = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_LONGEST_ARGUMENT = 4096


def _slug(name: str) -> str:
    if not _SLUG.fullmatch(name):
        raise misfit(
            f"{quote(name)} is no id", "use up to 40 lower-case letters, digits and dashes, as in pod-kill"
        )
    return name


def _argv(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise misfit("has no program", "write the program and its arguments, as in [dr/restore]")
    if any(len(word) > _LONGEST_ARGUMENT or "\0" in word for word in words):
        raise misfit(f"an argument has over {_LONGEST_ARGUMENT} characters", "put it into a file")
    return words


def _scenario(name: str) -> str:
    if name not in CEILINGS:
        raise misfit(f"there is no scenario {quote(name)}", f"use one of {', '.join(CEILINGS)}")
    return name


Slug = Annotated[str, AfterValidator(_slug)]
Argv = Annotated[list[str], Field(max_length=64), AfterValidator(_argv)]
Label = Annotated[str, Field(min_length=1, max_length=317)]


class _ScopeBlock(Strict):
    namespace: Slug | None = None
    labels: dict[Label, str] | None = None
    nodes: list[Slug] | None = None
    max: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _one_kind(self) -> _ScopeBlock:
        if bool(self.nodes) == bool(self.namespace and self.labels):
            raise misfit(
                "a scope is of nodes, or of a namespace and labels",
                "write {namespace: …, labels: {…}, max: …} or {nodes: […], max: …}",
            )
        if self.nodes and (self.namespace or self.labels):
            raise misfit("a scope of nodes has no namespace and no labels", "leave them out")
        if self.namespace not in (None, SERVING):
            raise misfit(
                f"a scope in Namespace {quote(self.namespace)}, where nothing of the workload is",
                f"write namespace: {SERVING}, or let the scope be of nodes",
            )
        return self


class _ExperimentBlock(Strict):
    id: Slug
    format: Literal["chaostoolkit", "chaosmesh", "litmus"]
    file: SubmissionPath
    scope: _ScopeBlock
    hypothesis: Argv | None = None

    @model_validator(mode="after")
    def _hypothesis_where_needed(self) -> _ExperimentBlock:
        if (self.format == "chaosmesh") != (self.hypothesis is not None):
            raise misfit(
                f"an experiment of format {self.format} "
                f"{'needs' if self.format == 'chaosmesh' else 'has'} {_OWN_HYPOTHESIS[self.format]}",
                "add hypothesis: [program, …]" if self.format == "chaosmesh" else "remove hypothesis",
            )
        return self


_OWN_HYPOTHESIS = {
    "chaosmesh": "a command as its hypothesis, for Chaos Mesh has none of its own",
    "chaostoolkit": "its hypothesis in its own file",
    "litmus": "its hypothesis in its own probes",
}


def _experiments(given: list[_ExperimentBlock]) -> list[_ExperimentBlock]:
    for at, each in enumerate(given):
        if each.id in [other.id for other in given[:at]]:
            raise misfit(f"two experiments are called {quote(each.id)}", "give each an id of its own")
    return given


class _ChaosBlock(Strict):
    manifests: Annotated[list[SubmissionPath], Field(min_length=1, max_length=16)]
    service_account: Annotated[Slug, Field(alias="serviceAccount")]
    settings: SubmissionPath | None = None
    pythonpath: SubmissionPath | None = None
    experiments: Annotated[
        list[_ExperimentBlock], Field(min_length=2, max_length=4), AfterValidator(_experiments)
    ]


class _RecoveryBlock(Strict):
    backup: Argv
    restore: Argv
    verify: Argv
    every_s: Annotated[int, Field(ge=5, le=10)]


class _TargetBlock(Strict):
    scenario: Annotated[str, AfterValidator(_scenario)]
    rto_s: Seconds
    rpo_s: Seconds

    @model_validator(mode="after")
    def _under_its_ceiling(self) -> _TargetBlock:
        ceiling = CEILINGS[self.scenario]
        for name in ("rto_s", "rpo_s"):
            most, given = getattr(ceiling, name), getattr(self, name)
            if given > most:
                raise misfit(
                    f"{name} of {self.scenario} is {given:g}, above its ceiling of {most:g}",
                    f"write {most:g} or less",
                )
        return self


def _all_scenarios(given: list[_TargetBlock]) -> list[_TargetBlock]:
    named: Sequence[str] = [each.scenario for each in given]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise misfit(f"{quote(twice[0])} has two targets", "keep one of them")
    if lacking := [name for name in CEILINGS if name not in named]:
        raise misfit(f"there is no target for {', '.join(lacking)}", "write a target for all five scenarios")
    return given


class Lab3Block(LabBlock):
    """The keys of lab 3's submission.yaml."""

    workload: Annotated[list[SubmissionPath], Field(min_length=1, max_length=16)]
    chaos: _ChaosBlock
    dr: _RecoveryBlock
    targets: Annotated[list[_TargetBlock], AfterValidator(_all_scenarios)]

    def settled(self) -> Lab3Manifest:
        """The same as frozen dataclasses."""
        return manifest_from(self.model_dump(exclude_none=True))
