"""The learner runtime: made once from its lock, complete or not there at all.

The wheels are real, made here and found through pip's own setting for a folder of wheels.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from graders.faults import InfraFault
from graders.progress import Silent
from graders.sandbox.runtime import ensure_runtime, kept_runtime


def make_wheel(folder: Path, name: str = "tiny") -> Path:
    """A wheel with one module."""
    info = f"{name}-1.0.dist-info"
    contents = {
        f"{name}.py": "ANSWER = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for path, text in contents.items()
    ]
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, text in contents.items():
            packed.writestr(path, text)
        packed.writestr(f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))
    return wheel


def tiny_lock(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A lock of one wheel, which pip finds in a folder; the cache is in `folder` too."""
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel = make_wheel(wheels)
    patch.setenv("KUBEPROOF_CACHE", str(folder / "cache"))
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(wheels))
    file = folder / "learner-requirements.txt"
    file.write_text(f"tiny==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return file


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One for which nothing was made yet."""
    return tiny_lock(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A lock, the cache with its runtime, and what was said while it was made."""
    folder, progress = tmp_path_factory.mktemp("made"), Silent()
    with pytest.MonkeyPatch.context() as patch:
        lock = tiny_lock(folder, patch)
        assert not kept_runtime(lock).made()
        ensure_runtime(progress, lock=lock)
    return lock, folder / "cache", progress.said


@pytest.fixture
def kept(made: tuple[Path, Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of a runtime that is there, and stays as it is."""
    monkeypatch.setenv("KUBEPROOF_CACHE", str(made[1]))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made[0].parent / "wheels"))
    return made[0]


def test_the_runtime_holds_what_the_lock_pins_and_nothing_of_the_harness(kept: Path) -> None:
    runtime = ensure_runtime(Silent(), lock=kept)
    assert runtime.lock_sha256 == hashlib.sha256(kept.read_bytes()).hexdigest()
    absent = "[find_spec(name) for name in ('pip', 'graders', 'rich')]"
    code = f"import tiny; from importlib.util import find_spec; print(tiny.ANSWER, {absent})"
    run = subprocess.run(
        [runtime.python, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == "42 [None, None, None]\n"
    assert runtime.base in (runtime.venv / "bin" / "python").resolve().parents
    assert kept_runtime(kept).made()


def test_bytecode_is_there_before_the_runtime_becomes_read_only(kept: Path) -> None:
    runtime = ensure_runtime(Silent(), lock=kept)
    assert len(list(runtime.venv.glob("lib/python*/site-packages/__pycache__/tiny.*.pyc"))) == 1


def test_the_runtime_is_made_once(kept: Path, made: tuple[Path, Path, list[str]]) -> None:
    second = Silent()
    assert ensure_runtime(second, lock=kept) == ensure_runtime(Silent(), lock=kept)
    assert len(made[2]) == 1
    assert second.said == []


def test_a_runtime_whose_making_was_cut_short_is_made_again(kept: Path) -> None:
    runtime = ensure_runtime(Silent(), lock=kept)
    (runtime.venv / "complete.json").unlink()
    (runtime.venv / "leftover").write_text("half")
    assert not kept_runtime(kept).made()
    ensure_runtime(Silent(), lock=kept)
    assert not (runtime.venv / "leftover").exists()


def test_a_new_lock_makes_a_new_runtime_beside_the_old(kept: Path, tmp_path: Path) -> None:
    old = ensure_runtime(Silent(), lock=kept)
    other = tmp_path / "other.txt"
    other.write_text("# nothing but a comment\n" + kept.read_text())
    assert ensure_runtime(Silent(), lock=other).venv != old.venv
    assert kept_runtime(kept).made()


def test_a_wheel_that_does_not_match_its_hash_is_refused_and_nothing_stays(
    lock: Path, tmp_path: Path
) -> None:
    lock.write_text(f"tiny==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(InfraFault) as refused:
        ensure_runtime(Silent(), lock=lock)
    assert "pip failed" in str(refused.value)
    assert "HASH" in str(refused.value).upper()
    assert "fix: check that this machine reaches a Python package index" in str(refused.value)
    assert [p.name for p in (tmp_path / "cache" / "runtimes").iterdir() if p.is_dir()] == []


def test_a_source_package_is_never_built(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl").unlink()
    (tmp_path / "wheels" / "tiny-1.0.tar.gz").write_bytes(b"setup.py would run here")
    with pytest.raises(InfraFault, match="No matching distribution found for tiny"):
        ensure_runtime(Silent(), lock=lock)
