"""Packages that a stranger asks for, or made: nothing of theirs runs outside a sandbox.

The packages are real, made here and found through pip's own setting for a folder of packages.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from graders.faults import BadSubmission, InfraFault
from graders.progress import Silent
from graders.sandbox import Mount, SandboxSpec, environments, sandbox_named
from graders.sandbox.environments import ensure_environment
from graders.sandbox.runtime import Runtime, ensure_runtime

pytestmark = pytest.mark.adversarial


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
) -> Path:
    """A wheel with a module of its name, and `files`."""
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {each}\n" for each in needs)
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n",
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, text in contents.items():
            packed.writestr(path, text)
        packed.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


def make_sdist(folder: Path, name: str, setup: str) -> None:
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as packed:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        for path, text in {"setup.py": setup, "PKG-INFO": metadata}.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))


class Learner:
    """Somebody who hands in, and publishes packages in the folder `index`."""

    def __init__(self, folder: Path, course: Runtime) -> None:
        self.course = course
        self.folder = folder
        self.index = folder / "index"
        self.index.mkdir()
        self.marker = folder / "it-ran"
        self.mark = f"import pathlib; pathlib.Path({str(self.marker)!r}).write_text('ran')\n"

    def environment(self, requirements: str, name: str = "submission") -> Runtime:
        root = self.folder / name
        root.mkdir(exist_ok=True)
        (root / "requirements.txt").write_text(requirements)
        return ensure_environment(self.course, root, Silent())

    def said(self, runtime: Runtime, code: str) -> str:
        """What `code` prints in a sandbox with that environment."""
        root = self.folder / "program"
        root.mkdir(exist_ok=True)
        (root / "main.py").write_text(code)
        beneath = runtime.beneath
        spec = SandboxSpec(
            submission=root,
            command=("python", "main.py"),
            folder=self.folder / f"scratch-{runtime.venv.name}",
            venv=runtime.venv,
            python=runtime.python,
            base=runtime.base,
            mounts=(Mount(str(beneath), beneath),) if beneath else (),
        )
        with ExitStack() as started:
            process = started.enter_context(sandbox_named("bubblewrap").start(spec))
            assert process.wait(60.0) is not None, process.log_tail()
            return process.log_path.read_text()


@pytest.fixture(scope="module")
def course() -> Runtime:
    return ensure_runtime(Silent())


@pytest.fixture
def learner(course: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Learner]:
    found = Learner(tmp_path, course)
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(found.index))
    yield found
    assert not found.marker.exists(), "something of the learner's ran on this machine"


def made(learner: Learner) -> list[str]:
    """The complete environments in the cache."""
    return [stamp.parent.name for stamp in (learner.folder / "cache").glob("environments/*/complete.json")]


def test_own_packages_come_first_and_the_courses_after_them(learner: Learner) -> None:
    make_wheel(learner.index, "tiny", needs=("needed",))
    make_wheel(learner.index, "needed")
    private = learner.environment("tiny==1.0\n")
    assert private.venv != learner.course.venv
    said = learner.said(
        private, "import tiny, needed, kopf, sys; print(tiny.VERSION, needed.VERSION, kopf.__name__)"
    )
    assert said.splitlines()[-1] == "1.0 1.0 kopf"


def test_tools_work_in_a_private_environment(learner: Learner) -> None:
    make_wheel(learner.index, "tiny")
    code = (
        "import subprocess, sys\n"
        "for tool in ('ruff', 'mypy', 'pytest'):\n"
        "    print(subprocess.run([sys.executable, '-m', tool, '--version'], text=True,"
        " capture_output=True).stdout)\n"
    )
    said = learner.said(learner.environment("tiny\n"), code)
    assert [word for word in said.split() if word in ("ruff", "mypy", "pytest")] == ["ruff", "mypy", "pytest"]


def test_what_the_course_has_is_not_fetched(learner: Learner) -> None:
    assert learner.environment("kopf>=1.45\naiohttp\n") == learner.course
    assert made(learner) == []


def test_it_is_made_once_and_no_other_has_it(learner: Learner) -> None:
    make_wheel(learner.index, "tiny")
    first = learner.environment("tiny==1.0\n")
    (learner.index / "tiny-1.0-py3-none-any.whl").unlink()
    assert learner.environment("# the same\ntiny == 1.0\n", "another") == first
    assert learner.environment("kopf\n", "plain") == learner.course
    said = learner.said(learner.course, "import importlib.util; print(importlib.util.find_spec('tiny'))")
    assert said.splitlines()[-1] == "None"


def test_nothing_is_built(learner: Learner) -> None:
    make_wheel(learner.index, "tiny")
    make_sdist(learner.index, "sourceonly", learner.mark)
    with pytest.raises(BadSubmission) as caught:
        learner.environment("tiny\nsourceonly==1.0\n")
    assert (caught.value.file, caught.value.line) == ("requirements.txt", 2)
    assert "sourceonly" in caught.value.problem
    assert made(learner) == []


@pytest.mark.parametrize("variable", ["PIP_NO_BINARY", "PIP_REQUIREMENT", "PIP_CONSTRAINT"])
def test_settings_of_the_caller_that_would_build_do_not_count(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    make_sdist(learner.index, "sourceonly", learner.mark)
    given = {"PIP_NO_BINARY": ":all:"}.get(variable, str(learner.folder / "nothing.txt"))
    monkeypatch.setenv(variable, given)
    with pytest.raises(BadSubmission, match="sourceonly"):
        learner.environment("sourceonly\n")


def test_a_package_that_needs_one_without_a_wheel_is_refused(learner: Learner) -> None:
    make_wheel(learner.index, "tiny", needs=("sourceonly",))
    make_sdist(learner.index, "sourceonly", learner.mark)
    with pytest.raises(BadSubmission, match="sourceonly"):
        learner.environment("tiny\n")


def test_what_python_runs_at_each_start_runs_in_the_sandbox_only(learner: Learner) -> None:
    loud = f"{learner.mark}print('loud')\n"
    hooks = {
        "loud.pth": loud.replace("\n", ";").strip(";") + "\n",
        "sitecustomize.py": loud,
        "usercustomize.py": loud,
        "pip/__init__.py": loud,
        "pip/__main__.py": loud,
        "encodings/__init__.py": loud,
    }
    # Files of this kind go beside the packages of the environment, or over them.
    data = {
        f"hooked-1.0.data/{kind}/bin/python": f"#!/bin/sh\ntouch {learner.marker}\n" for kind in ("data",)
    }
    scripts = {"hooked-1.0.data/scripts/python": f"#!/bin/sh\ntouch {learner.marker}\n"}
    make_wheel(learner.index, "hooked", files={**hooks, **data, **scripts})
    private = learner.environment("hooked\n")
    again = learner.environment("hooked\n", "again")
    assert again == private
    assert not learner.marker.exists()
    assert private.python.resolve() == learner.course.python.resolve()
    # They do run where they may: what was tried is an attack.
    assert "loud" in learner.said(private, "print('here')")


@pytest.mark.parametrize(
    "path", ["../../../../escaped.py", "/tmp/kubeproof-escaped.py", "../../../../bin/python"]
)
def test_a_wheel_cannot_write_outside(learner: Learner, path: str) -> None:
    make_wheel(learner.index, "climber", files={path: learner.mark})
    with pytest.raises(BadSubmission, match="climber"):
        learner.environment("climber\n")
    assert not Path("/tmp/kubeproof-escaped.py").exists()
    assert not list(learner.folder.rglob("escaped.py"))
    assert made(learner) == []


def test_a_newer_package_of_the_course_changes_one_submission_only(learner: Learner) -> None:
    before = {path: path.stat().st_mtime_ns for path in learner.course.venv.rglob("kopf/*.py")}
    assert before
    make_wheel(learner.index, "kopf", "99.0")
    private = learner.environment("kopf==99.0\n")
    assert learner.said(private, "import kopf; print(kopf.VERSION)").splitlines()[-1] == "99.0"
    assert {path: path.stat().st_mtime_ns for path in learner.course.venv.rglob("kopf/*.py")} == before
    said = learner.said(learner.course, "import kopf; print(hasattr(kopf, 'VERSION'))")
    assert said.splitlines()[-1] == "False"


def test_another_file_than_the_one_that_was_meant_is_refused(learner: Learner) -> None:
    make_wheel(learner.index, "tiny")
    with pytest.raises(BadSubmission, match="HASHES") as caught:
        learner.environment(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    assert caught.value.line == 1
    assert made(learner) == []


def test_the_right_hash_is_taken(learner: Learner) -> None:
    digest = hashlib.sha256(make_wheel(learner.index, "tiny").read_bytes()).hexdigest()
    private = learner.environment(f"tiny==1.0 --hash=sha256:{digest}\n")
    assert made(learner) == [private.venv.name]


def test_requirements_that_contradict_each_other_are_named(learner: Learner) -> None:
    make_wheel(learner.index, "tiny", needs=("needed<1",))
    make_wheel(learner.index, "needed")
    with pytest.raises(BadSubmission, match="needed") as caught:
        learner.environment("needed==1.0\ntiny\n")
    assert str(learner.folder) not in str(caught.value)


def test_what_is_far_too_large_is_stopped(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "MOST_BYTES", 8 * 1024**2)
    wheel = make_wheel(learner.index, "bomb")
    with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as packed:
        for place in range(40):
            packed.writestr(f"zeros{place}.bin", b"\0" * 50 * 1024**2)
    with pytest.raises(BadSubmission, match="take over"):
        learner.environment("bomb\n")
    assert made(learner) == []
    assert not list((learner.folder / "cache").rglob("zeros*"))


def test_more_packages_than_anybody_needs_are_stopped(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "MOST_PACKAGES", 10)
    count = 60
    for place in range(count):
        make_wheel(learner.index, f"link{place}", needs=(f"link{place + 1}",) if place + 1 < count else ())
    with pytest.raises(BadSubmission, match="over 10 packages"):
        learner.environment("link0\n")


def test_an_index_that_does_not_answer_is_nobodys_fault(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(InfraFault, match="cannot be fetched"):
        learner.environment("nowhere==1.0\n")
