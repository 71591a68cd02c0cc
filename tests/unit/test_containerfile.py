"""The grader's image: what it copies is there, and it runs as whom the Job says."""

from __future__ import annotations

import re

from graders.batch.indexedjob import USER
from graders.paths import REPOSITORY
from scripts.grader_image import COPIED as COPIED_OF_CHECKOUT

TEXT = (REPOSITORY / "Containerfile").read_text("utf-8")
COPIED = [name for line in re.findall(r"^COPY --chown=\S+ (.*)$", TEXT, re.M) for name in line.split()[:-1]]
MADE = "build/programs.zip"


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    allowed = re.findall(r"^!(.*)$", (REPOSITORY / ".dockerignore").read_text("utf-8"), re.M)
    assert COPIED
    for name in COPIED:
        assert (REPOSITORY / name).exists() or name == MADE, name
        assert name.partition("/")[0] in allowed or name in allowed


def test_no_solution_is_in_it() -> None:
    assert not [name for name in COPIED if name.startswith(("solutions", ".", "tests"))]


def test_what_the_script_digests_is_what_is_copied_and_the_archive_is_no_layer_of_the_image() -> None:
    assert {name for name in COPIED if not name.startswith("graders/")} == {*COPIED_OF_CHECKOUT, MADE}
    last = TEXT.rpartition("\nFROM ")[2]
    assert TEXT.index(f"COPY --chown={USER}:{USER} {MADE}") < TEXT.index(last)
    assert re.findall(r"^COPY (.*)$", last, re.M) == [
        f"--from=programs --chown={USER}:{USER} /var/cache/kubeproof /var/cache/kubeproof"
    ]


def test_it_runs_as_the_user_of_the_job_from_the_first_command_of_its_own() -> None:
    users = re.findall(r"^USER (.*)$", TEXT, re.M)
    assert users == [f"{USER}:{USER}"]
    assert TEXT.index("USER ") < TEXT.index("COPY ")
    assert re.findall(r"--chown=(\S+)", TEXT) == [f"{USER}:{USER}"] * TEXT.count("COPY ")


def test_what_the_lock_pins_is_installed_last() -> None:
    """A grade's key counts what is installed: another version than the lock's is other code."""
    installs = re.findall(r"pip install .* -r (\S+)", TEXT)
    assert installs == ["graders/batch/s3-requirements.txt", "requirements.lock"]


def test_all_that_it_installs_is_locked() -> None:
    installs = re.findall(r"pip install (.*)", TEXT)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install
