"""The grader's image: what it copies is there, and it runs as whom the Job says."""

from __future__ import annotations

import re

from graders.batch.indexedjob import USER
from graders.paths import REPOSITORY

TEXT = (REPOSITORY / "Containerfile").read_text("utf-8")
COPIED = [name for line in re.findall(r"^COPY \S+ (.*)$", TEXT, re.M) for name in line.split()[:-1]]


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    allowed = re.findall(r"^!(.*)$", (REPOSITORY / ".containerignore").read_text("utf-8"), re.M)
    assert COPIED
    for name in COPIED:
        assert (REPOSITORY / name).exists(), name
        assert name.partition("/")[0] in allowed


def test_no_solution_is_in_it() -> None:
    assert not [name for name in COPIED if name.startswith(("solutions", ".", "tests"))]


def test_it_runs_as_the_user_of_the_job_from_the_first_command_of_its_own() -> None:
    users = re.findall(r"^USER (.*)$", TEXT, re.M)
    assert users == [f"{USER}:{USER}"]
    assert TEXT.index("USER ") < TEXT.index("COPY ")
    assert re.findall(r"--chown=(\S+)", TEXT) == [f"{USER}:{USER}"] * TEXT.count("COPY ")


def test_all_that_it_installs_is_locked() -> None:
    installs = re.findall(r"pip install (.*)", TEXT)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install
