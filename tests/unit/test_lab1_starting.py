"""An operator that does not run: what the learner is told is what keeps it from running."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark, ProcessEvent
from graders.judging.catalogue import collect_checks
from graders.lab1.handedin import handed_in
from graders.lab1.starting import why_not_ready, without_fix
from graders.model import Outcome, Status
from tests.unit.lab1_flaws import outcomes_of
from tests.unit.lab1_recording import Recording

PODS = "creates-pods"
NOTHING: dict[str, Any] = {"read": "", "unread": [], "modules": [], "src": []}
MISSING = "Traceback (most recent call last):\n  ...\nModuleNotFoundError: No module named 'mltj.api'"
LIMITS = {"log": "prints far too much", "memory": "much memory", "cpu": "CPU time", "pids": "threads"}


def next_step(said: str, *, reason: str = "exited", brought: dict[str, Any] | None = None) -> str:
    """What an operator is told to do that printed `said`, ended for `reason` and never read a job."""
    marks = [Mark(0.5, "run", "handed-in", {**NOTHING, **brought})] if brought is not None else []
    processes = [ProcessEvent(3.0, "operator-1", "exited", {"reason": reason})]
    return why_not_ready(cast(Bundle, SimpleNamespace(marks=marks, processes=processes)), said)


@pytest.mark.parametrize(
    ("brought", "says"),
    [
        ({"src": ["mltj"]}, "mltj lies in src/, where Python does not look: set PYTHONPATH to src"),
        ({"modules": ["mltj"]}, "mltj is handed in, and mltj.api not found in it"),
        ({"read": "requirements.txt"}, "requirements.txt was read, and names no package with mltj.api"),
        ({"unread": ["Pipfile", "uv.lock"]}, "Pipfile, uv.lock: not read for packages"),
        ({}, "there is no requirements.txt: name the package that brings mltj.api"),
    ],
)
def test_a_module_that_is_not_there_is_told_with_what_was_handed_in(
    brought: dict[str, Any], says: str
) -> None:
    assert says in next_step(MISSING, brought=brought)


def test_python_itself_says_so_in_other_words() -> None:
    said = "/usr/bin/python: No module named mltj_operator"
    assert "mltj_operator lies in src/" in next_step(said, brought={"src": ["mltj_operator"]})


def test_a_record_that_says_nothing_of_what_was_handed_in_still_has_a_next_step() -> None:
    assert "mend what it printed last" in next_step(MISSING)


def test_a_command_that_cannot_start_brings_its_own_fix() -> None:
    said = "cannot start './run.sh': it is not executable\n  fix: chmod +x ./run.sh\n"
    assert next_step(said) == "chmod +x ./run.sh"
    assert without_fix(said) == "cannot start './run.sh': it is not executable\n"
    assert without_fix("  fix: none") == "  fix: none"


def test_a_manager_that_looks_for_its_namespace_in_a_pod_is_told_where_it_is() -> None:
    said = (
        '2026-11-30T16:46:35Z ERROR setup Failed to start manager {"error": "unable to find leader election '
        'namespace: not running in-cluster, please specify LeaderElectionNamespace"}'
    )
    assert 'LeaderElectionNamespace: os.Getenv("POD_NAMESPACE")' in next_step(said)


def test_an_operator_that_says_nothing_is_to_be_started_by_hand() -> None:
    assert "Start it by hand" in next_step("")


@pytest.mark.parametrize("reason", LIMITS)
def test_a_limit_that_it_broke_is_named(reason: str) -> None:
    assert LIMITS[reason] in next_step("debug", reason=reason)


def test_what_is_handed_in_is_seen(tmp_path: Path) -> None:
    (tmp_path / "src" / "mltj").mkdir(parents=True)
    (tmp_path / "src" / "mltj" / "__init__.py").touch()
    (tmp_path / "src" / "assets").mkdir()
    for name in ("main.py", "pyproject.toml", "requirements.txt", "uv.lock"):
        (tmp_path / name).touch()
    seen = {"read": "requirements.txt", "unread": ["uv.lock"], "modules": ["main"], "src": ["mltj"]}
    assert handed_in(tmp_path, installed=True) == seen
    assert handed_in(tmp_path, installed=False) == {**seen, "read": ""}
    (tmp_path / "requirements.txt").unlink()
    assert handed_in(tmp_path, installed=True)["read"] == "[project] dependencies in pyproject.toml"


# --- in the outcomes of checks -----------------------------------------------------------------------


def podless(tmp_path: Path, *, reason: str = "") -> dict[str, Outcome]:
    """The outcomes of an operator that read jobs and made no pod; `reason` is why it ended, if it did."""

    def flawed(r: Recording) -> None:
        r.processes.clear()
        for track in ("create", "suspend"):
            r.miss(track, "4 pods, Running", "0 pods: none")
        r.audit[:] = [e for e in r.audit if (e["verb"], e["resource"]) != ("create", "pods")]
        if reason:
            data = {"status": "ended", "reason": reason}
            r.processes.append({"t": 1.0, "instance": "operator-1", "event": "exited", "data": data})

    return outcomes_of(flawed, tmp_path)


def test_pods_that_the_api_server_refuses_are_told_with_what_it_says(tmp_path: Path) -> None:
    """Rights that the manifests do not grant are the usual reason, and no other check's business."""
    words = 'pods is forbidden: cannot create resource "pods"'

    def forbidden(r: Recording) -> None:
        r.miss("create", "4 pods, Running", "0 pods: none")
        for event in r.audit:
            if (event["verb"], event["resource"]) == ("create", "pods"):
                event.update(code=403, response={"kind": "Status", "message": words})

    assert outcomes_of(forbidden, tmp_path)[PODS].hint.endswith(words)


def test_no_check_is_its_own_remedy(tmp_path: Path) -> None:
    outcomes = podless(tmp_path)
    assert outcomes["suspend"].hint == "No pod was there at all: first make creates-pods pass."
    lost = [outcome for outcome in outcomes.values() if outcome.status is Status.FAILED]
    assert PODS in {outcome.check_id for outcome in lost}
    assert [outcome for outcome in lost if outcome.check_id in outcome.hint] == []
    assert [info.id for info in collect_checks("lab1") if f"make {info.id} pass" in info.hint] == []


@pytest.mark.parametrize(
    ("reason", "says"), [("log", "prints far too much"), ("exited", "mend what it printed last")]
)
def test_an_operator_that_ended_made_no_pods_for_that(reason: str, says: str, tmp_path: Path) -> None:
    outcomes = podless(tmp_path, reason=reason)
    assert says in outcomes[PODS].hint
    assert says in outcomes["suspend"].hint
