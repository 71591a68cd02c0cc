"""Packages that a stranger asks for, or made: nothing of theirs runs outside a sandbox.

The packages are real, made here and found through pip's own setting for a folder of packages.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.evidence.records import ToolRun
from graders.faults import BadSubmission
from graders.lab1.quality import run_tools
from graders.progress import Silent
from graders.sandbox import sandbox_named
from tests.adversarial.packages import Learner, make_sdist, make_wheel, publishing

pytestmark = pytest.mark.adversarial


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Learner]:
    with publishing(tmp_path, monkeypatch) as found:
        yield found


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
    assert learner.made() == []


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
    assert "pip install --only-binary :all: -r requirements.txt` succeeds with Python 3." in caught.value.fix
    assert learner.made() == []


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


@pytest.mark.parametrize("kind", ["source", "folder", "repository", "nonsense", "wheel"])
def test_a_wheel_cannot_bring_in_what_lies_at_an_address(learner: Learner, kind: str) -> None:
    """`--only-binary` says nothing of such: pip would build it, here."""
    elsewhere = learner.folder / "elsewhere"
    elsewhere.mkdir()
    source = make_sdist(elsewhere, "evil", learner.mark)
    shutil.unpack_archive(source, elsewhere, filter="data")
    address = {
        "source": f"file://{source}",
        "folder": f"file://{elsewhere}/evil-1.0",
        "repository": "git+https://127.0.0.1:9/evil",
        "nonsense": f"git+file://{learner.folder.name}:/evil",
        "wheel": f"file://{make_wheel(elsewhere, 'evil')}",
    }[kind]
    make_wheel(learner.index, "tiny", needs=(f"evil @ {address}",))
    with pytest.raises(BadSubmission) as caught:
        learner.environment("tiny\n")
    assert caught.value.file == "requirements.txt"
    assert str(learner.folder) not in str(caught.value)
    assert learner.made() == []


def test_a_file_where_ours_would_be_changes_nothing(learner: Learner) -> None:
    make_wheel(learner.index, "tiny", files={"~course.pth/tiny.py": "", "~~course.pth": "import os\n"})
    said = learner.said(learner.environment("tiny\n"), "import tiny, kopf; print(kopf.__name__)")
    assert said.splitlines()[-1] == "kopf"


def test_the_tools_that_judge_are_the_courses(learner: Learner) -> None:
    """Neither a package nor a file of the learner's stands in for the linter or the type checker."""
    well = "print('all is well')\n"
    fake = {f"{name}/__{file}__.py": well for name in ("ruff", "mypy") for file in ("init", "main")}
    make_wheel(learner.index, "tiny", files=fake)
    private = learner.environment("tiny\n")
    # The parameter has no type, which mypy minds; the import is not used, which ruff minds.
    code = "import os\n\nimport tiny\n\n\ndef f(x):\n    return tiny.VERSION\n"
    spec = learner.sandboxed(private, {"own.py": code, "ruff.py": well, "mypy.py": well})
    with BundleWriter(learner.folder / "bundle") as writer, Silent().task("tools") as task:
        run_tools(sandbox_named("bubblewrap"), spec, private.course, Recording(writer), task)
    records = (learner.folder / "bundle" / ToolRun.FILE).read_text().splitlines()
    tools = {run["tool"]: run for run in map(json.loads, records)}
    for name, complaint in (("ruff", "F401"), ("mypy", "no-untyped-def")):
        assert tools[name]["code"] == 1, tools[name]
        assert complaint in tools[name]["output"]


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
    assert learner.made() == []


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
    assert learner.made() == []


def test_the_right_hash_is_taken(learner: Learner) -> None:
    digest = hashlib.sha256(make_wheel(learner.index, "tiny").read_bytes()).hexdigest()
    private = learner.environment(f"tiny==1.0 --hash=sha256:{digest}\n")
    assert learner.made() == [private.venv.name]


def test_requirements_that_contradict_each_other_are_named(learner: Learner) -> None:
    make_wheel(learner.index, "tiny", needs=("needed<1",))
    make_wheel(learner.index, "needed")
    with pytest.raises(BadSubmission, match="needed") as caught:
        learner.environment("needed==1.0\ntiny\n")
    assert str(learner.folder) not in str(caught.value)
