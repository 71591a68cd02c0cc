"""When a stage of tests counts as proven: `scripts/stages.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from graders.paths import REPOSITORY


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("stages", REPOSITORY / "scripts" / "stages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PROVEN", tmp_path / "proven.json")
    return module


def asked(stages: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["stages.py", *words])
    return int(stages.main())


def test_a_stage_is_proven_once_it_is_noted(stages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(stages, monkeypatch, "check", "attacks") == 1
    assert asked(stages, monkeypatch, "note", "attacks") == 0
    assert asked(stages, monkeypatch, "check", "attacks") == 0
    assert asked(stages, monkeypatch, "check", "kind") == 1


def test_what_it_tests_is_in_its_digest(stages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stages.key("attacks")
    roots = dict(stages.STAGES)
    places, run = roots["attacks"]
    monkeypatch.setattr(stages, "STAGES", {**roots, "attacks": ((*places, "tests/kind"), run)})
    assert stages.key("attacks") != before


def test_helpers_of_a_test_belong_to_it(stages: ModuleType) -> None:
    found = set(stages._tests_of(REPOSITORY / "tests" / "adversarial"))
    assert REPOSITORY / "tests" / "adversarial" / "hostile.py" in found


@pytest.mark.parametrize("words", [(), ("check",), ("check", "unit"), ("forget", "kind")])
def test_a_mistaken_command_line_says_how(
    stages: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    assert asked(stages, monkeypatch, *words) == 2
    assert "check kind" in capsys.readouterr().err
