"""Lab 2's part of submission.yaml: which engine, where the release stands, and what is promised."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from graders.documents import Strict, misfit
from graders.documents.wording import quote
from graders.gitops.releasefile import ReleaseFile
from graders.submissions.block import LabBlock, SubmissionPath

EngineName = Literal["argocd", "flux"]
PolicyEngineName = Literal["kyverno", "gatekeeper", "vap"]

_DURATION = re.compile(r"([1-9][0-9]{0,3})s")
_LONGEST_ARGUMENT = 4096


@dataclass(frozen=True)
class Promises:
    """What the learner promises, in seconds: to sync, to repair drift, to promote, and to give up."""

    sync_s: float = 30.0
    drift_s: float = 20.0
    promote_s: float = 90.0
    timeout_s: float = 30.0


@dataclass(frozen=True)
class Lab2Manifest:
    """What `Submission.manifest` is in lab 2."""

    engine: EngineName
    policy_engines: tuple[PolicyEngineName, ...]
    release: ReleaseFile
    mesh: str
    promises: Promises = Promises()
    command: tuple[str, ...] = ()
    """Promotes, where the engine does not; empty: the engine does."""
    preflight: tuple[str, ...] = field(default_factory=tuple)


def _seconds(most_s: int) -> AfterValidator:
    def within(written: str) -> str:
        found = _DURATION.fullmatch(written)
        if not found or int(found[1]) > most_s:
            raise misfit(
                f"{quote(written)} is no time up to {most_s}s", f"write whole seconds, as in {most_s}s"
            )
        return written

    return AfterValidator(within)


def _pointer(text: str) -> str:
    if not text.startswith("/") or re.search(r"~(?![01])", text):
        raise misfit(f"{quote(text)} is no JSON pointer", "write one such as /release/digest")
    return text


def _argv(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise misfit("has no program", "write the program and its arguments, as in [ci/promote]")
    if any(len(word) > _LONGEST_ARGUMENT or "\0" in word for word in words):
        raise misfit(f"an argument has over {_LONGEST_ARGUMENT} characters", "put it into a file")
    return words


def _distinct(names: list[PolicyEngineName]) -> list[PolicyEngineName]:
    if len(set(names)) != len(names):
        raise misfit("names a policy engine twice", "name each once")
    return names


Argv = Annotated[list[str], Field(max_length=64), AfterValidator(_argv)]


class _Release(Strict):
    file: SubmissionPath
    pointer: Annotated[str, Field(max_length=500), AfterValidator(_pointer)]
    value: Literal["digest", "reference"]


class _Promotion(Strict):
    mode: Literal["controller", "command"]
    command: Argv | None = None
    timeout: Annotated[str, _seconds(30)] = "30s"

    @model_validator(mode="after")
    def _command_where_it_is_wanted(self) -> _Promotion:
        if self.mode == "command" and self.command is None:
            raise misfit("mode command has no command", "add `command: [ci/promote]`")
        if self.mode == "controller" and self.command is not None:
            raise misfit("mode controller runs no command", "remove the command, or write `mode: command`")
        return self


class _Slo(Strict):
    sync: Annotated[str, _seconds(30)] = "30s"
    drift: Annotated[str, _seconds(30)] = "20s"
    promote: Annotated[str, _seconds(90)] = "90s"


class Lab2Block(LabBlock):
    """All keys of lab 2's submission.yaml but `schema` and `lab`."""

    engine: EngineName
    policy_engines: Annotated[
        list[PolicyEngineName], Field(alias="policyEngines", min_length=1), AfterValidator(_distinct)
    ]
    release: _Release
    promotion: _Promotion = _Promotion(mode="controller")
    slo: _Slo = _Slo()
    preflight: Argv | None = None
    mesh: Literal["istio", "linkerd"]

    def settled(self) -> Lab2Manifest:
        """The same as frozen dataclasses."""
        slo, release = self.slo, self.release
        times = (slo.sync, slo.drift, slo.promote, self.promotion.timeout)
        steps = release.pointer.split("/")[1:]
        return Lab2Manifest(
            engine=self.engine,
            policy_engines=tuple(self.policy_engines),
            release=ReleaseFile(
                release.file,
                tuple(step.replace("~1", "/").replace("~0", "~") for step in steps),
                release.value,
            ),
            mesh=self.mesh,
            promises=Promises(*(float(each.removesuffix("s")) for each in times)),
            command=tuple(self.promotion.command or ()),
            preflight=tuple(self.preflight or ()),
        )
