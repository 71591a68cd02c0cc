"""Lab 1's part of submission.yaml: how to build and start the operator, and what to install for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from graders.documents import Strict, misfit
from graders.documents.wording import quote
from graders.submissions.block import LabBlock, SubmissionPath

Language = Literal["python", "go", "other"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METRICS_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_RESERVED = frozenset(
    {"BASH_ENV", "ENV", "HOME", "KUBECONFIG", "PATH", "POD_NAME", "POD_NAMESPACE", "TMPDIR", "USER"}
)
_RESERVED_PREFIXES = ("KUBEPROOF_", "KUBERNETES_", "LD_")
_PYTHON_ALLOWED = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONWARNINGS"})
_LONGEST_ARGUMENT = 4096


@dataclass(frozen=True)
class Metrics:
    """Where each operator process answers scrapes: a TCP port of its own network, and a URL path."""

    port: int = 8080
    path: str = "/metrics"


@dataclass(frozen=True)
class Operator:
    """How the operator is built and started; commands are run from the submission's root."""

    language: Language
    command: tuple[str, ...]
    namespace: str
    service_account: str
    build: tuple[str, ...] = ()
    """Empty if there is nothing to build."""
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics = Metrics()


@dataclass(frozen=True)
class Lab1Manifest:
    """What `Submission.manifest` is in lab 1; `manifests` are paths inside the submission."""

    operator: Operator
    manifests: tuple[str, ...]


def _namespace(name: str) -> str:
    if not _LABEL.fullmatch(name):
        fix = "use up to 63 lower-case letters, digits and dashes, as in mltj-system"
        raise misfit(f"{quote(name)} is no name for a namespace", fix)
    if name.startswith("kube-"):
        raise misfit(f"{quote(name)} belongs to the cluster", "use a namespace of your own, as mltj-system")
    return name


def _account(name: str) -> str:
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        fix = "use lower-case letters, digits, dashes and dots, as in mltj-operator"
        raise misfit(f"{quote(name)} is no name for a ServiceAccount", fix)
    return name


def _argv(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise misfit("has no program", "write the program and its arguments, as in [python, -m, operator]")
    if any(len(word) > _LONGEST_ARGUMENT for word in words):
        raise misfit(f"an argument has over {_LONGEST_ARGUMENT} characters", "put it into a file")
    return words


def _environment(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            fix = "use letters, digits and underscores, not beginning with a digit"
            raise misfit(f"{quote(name)} is no name for a variable", fix)
        foreign_python = name.startswith("PYTHON") and name not in _PYTHON_ALLOWED
        if name in _RESERVED or name.startswith(_RESERVED_PREFIXES) or foreign_python:
            raise misfit(
                f"{quote(name)} is set by the grader", "remove it, or use a variable of another name"
            )
        if len(value) > _LONGEST_ARGUMENT:
            raise misfit(f"{quote(name)} has over {_LONGEST_ARGUMENT} characters", "put it into a file")
    return variables


def _metrics_path(path: str) -> str:
    if len(path) > 255 or not _METRICS_PATH.fullmatch(path):
        raise misfit(f"{quote(path)} is no path for metrics", 'write one such as "/metrics", without a query')
    return path


def _all_different(paths: list[str]) -> list[str]:
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise misfit(f"{quote(path)} is named twice", "name it once")
    return paths


Argv = Annotated[list[str], Field(max_length=64), AfterValidator(_argv)]


class _MetricsBlock(Strict):
    port: Annotated[int, Field(ge=1024, le=65535)] = 8080
    path: Annotated[str, AfterValidator(_metrics_path)] = "/metrics"


class _OperatorBlock(Strict):
    language: Language
    build: Argv | None = None
    command: Argv
    environment: Annotated[
        dict[str, str], Field(default_factory=dict, max_length=64), AfterValidator(_environment)
    ]
    metrics: _MetricsBlock = _MetricsBlock()
    namespace: Annotated[str, AfterValidator(_namespace)]
    service_account: Annotated[str, Field(alias="serviceAccount"), AfterValidator(_account)]


class Lab1Block(LabBlock):
    """The keys `operator` and `manifests`, as lab 1's contract has them."""

    operator: _OperatorBlock
    manifests: Annotated[
        list[SubmissionPath], Field(min_length=1, max_length=64), AfterValidator(_all_different)
    ]

    def settled(self) -> Lab1Manifest:
        """The same as frozen dataclasses."""
        given = self.operator
        return Lab1Manifest(
            operator=Operator(
                language=given.language,
                command=tuple(given.command),
                namespace=given.namespace,
                service_account=given.service_account,
                build=tuple(given.build or ()),
                environment=dict(given.environment),
                metrics=Metrics(given.metrics.port, given.metrics.path),
            ),
            manifests=tuple(self.manifests),
        )
