"""Who handed in what: entries of a folder, refs of a repository."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graders.batch import gitintake
from graders.batch.gitintake import GitSource, hand_ins_from, is_git
from graders.batch.intake import hand_ins_in, instant
from graders.batch.work import _pieces
from graders.cli import app, batch
from graders.faults import InfraFault, UsageError
from graders.ownership import has_owner
from graders.submissions.limits import SubmissionLimits

CLASS = ("ada", "bob", "cyd")


def test_an_entry_is_its_learner_s_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "bob.zip").touch()
    (tmp_path / "cyd.tar.gz").touch()
    (tmp_path / ".DS_Store").touch()
    found = hand_ins_in(tmp_path, CLASS)
    assert [(each.learner_id, each.path.name) for each in found] == [
        ("ada", "ada"), ("bob", "bob.zip"), ("cyd", "cyd.tar.gz"),
    ]  # fmt: skip


def test_the_newest_file_says_when_it_was_handed_in(tmp_path: Path) -> None:
    for name, year in (("old", 2020), ("new", 2024)):
        file = tmp_path / "ada" / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        stamp = datetime(year, 1, 1, tzinfo=UTC).timestamp()
        os.utime(file, (stamp, stamp))
    (found,) = hand_ins_in(tmp_path, CLASS)
    assert found.submitted_at == datetime(2024, 1, 1, tzinfo=UTC)


def test_what_belongs_to_nobody_is_named(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "eve\x1b[31m.zip").touch()
    with pytest.raises(UsageError, match=r"eve\\x1b\[31m\.zip: belongs to nobody on the roster\n  fix: name"):
        hand_ins_in(tmp_path, CLASS)


def test_two_entries_of_one_learner_are_named(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada.zip").touch()
    with pytest.raises(UsageError, match=r"ada, ada\.zip belong to the same learner"):
        hand_ins_in(tmp_path, CLASS)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no submissions can be read here"):
        hand_ins_in(tmp_path / "nowhere", CLASS)


# --- Git -------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a branch of ada's that tries what Git can be made to do, and a large one of bob's."""
    work = tmp_path / "work"
    git(tmp_path, "init", "-q", str(work))
    (work / ".gitattributes").write_text("*.sh filter=evil export-ignore\n")
    (work / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = file:///etc\n')
    (work / "main.py").write_text("print()\n")
    (work / "run.sh").write_text("true\n")
    commit(work, "ada")
    git(work, "switch", "-q", "--orphan", "bob")
    (work / "big.bin").write_bytes(os.urandom(200_000))
    commit(work, "bob")
    return work


def git(folder: Path, *arguments: str) -> None:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{f"GIT_{who}_NAME": "a" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_DATE": "2026-03-01T10:00:00Z" for who in ("AUTHOR", "COMMITTER")},
    }
    subprocess.run(["git", "-C", folder, *arguments], check=True, env=environment)


def commit(work: Path, branch: str) -> None:
    git(work, "add", "-A")
    git(work, "commit", "-qm", "work")
    git(work, "branch", "-qM", branch)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("https://example.org/x.git", True),
        ("git@example.org:x.git", True),
        ("submissions/", False),
        ("C:/x", False),
    ],
)
def test_a_url_is_told_from_a_folder(source: str, told: bool) -> None:
    assert is_git(source) is told


def test_each_ref_is_checked_out_and_runs_nothing(repository: Path, tmp_path: Path) -> None:
    found = hand_ins_from(GitSource(f"file://{repository}"), CLASS, tmp_path / "in")
    assert [(each.learner_id, each.problem) for each in found] == [("ada", ""), ("bob", "")]
    ada = found[0]
    assert sorted(path.name for path in ada.path.iterdir()) == [
        ".gitattributes", ".gitmodules", "main.py", "run.sh",
    ]  # fmt: skip
    assert ada.submitted_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["ada", "bob"]


def test_a_commit_that_is_too_large_holds_up_nobody_else(repository: Path, tmp_path: Path) -> None:
    small = SubmissionLimits(total_bytes=100_000)
    ada, bob = hand_ins_from(GitSource(f"file://{repository}"), CLASS, tmp_path / "in", small)
    assert (ada.problem, ada.rejected, bob.rejected) == ("", False, True)
    assert bob.problem == "refs/heads/bob: the commit's files hold 200000 bytes, and 100000 are the most"
    assert not bob.path.exists()


def test_a_pack_that_is_too_large_is_cut_off_as_it_comes(repository: Path, tmp_path: Path) -> None:
    small = SubmissionLimits(archive_bytes=100_000)
    ada, bob = hand_ins_from(GitSource(f"file://{repository}"), CLASS, tmp_path / "in", small)
    assert ada.problem == ""
    assert bob.problem == "refs/heads/bob: the commit takes over 100000 bytes, which are the most"
    assert bob.rejected
    assert not bob.path.exists()


def test_a_commit_that_git_refuses_as_malformed_is_its_learner_s(repository: Path, tmp_path: Path) -> None:
    def written(kind: str, content: bytes) -> str:
        command = ["git", "-C", repository, "hash-object", "-w", "--stdin", "--literally", "-t", kind]
        return subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode().strip()

    tree = written("tree", b"0100644 main.py\0" + bytes.fromhex(written("blob", b"print()\n")))
    who = "A <a@example.org> 1770000000 +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n"
    git(repository, "update-ref", "refs/heads/cyd", written("commit", text.encode()))
    *others, cyd = hand_ins_from(GitSource(f"file://{repository}"), CLASS, tmp_path / "in")
    assert [each.problem for each in others] == ["", ""]
    assert cyd.rejected
    assert cyd.problem.startswith("refs/heads/cyd: git finds a malformed object in the commit, ")
    assert cyd.problem.endswith("contains zero-padded file modes; commit the files anew with a current git")


def test_a_repository_of_all_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        InfraFault, match=r"file:///nowhere/at-all: .*\n  fix: see that the URL can be reached"
    ):
        hand_ins_from(GitSource("file:///nowhere/at-all"), CLASS, tmp_path / "in")


def test_a_repository_of_one_that_does_not_answer_is_that_learner_s_alone(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "repositories").mkdir()
    repository.rename(tmp_path / "repositories" / "ada")
    source = GitSource(f"file://{tmp_path}/repositories/{{learner}}", "refs/heads/ada")
    ada, *others = hand_ins_from(source, CLASS, tmp_path / "in")
    assert ada.problem == ""
    assert [bool(each.problem) for each in others] == [True, True]


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a host that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_host_that_takes_a_connection_and_is_silent_is_told(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitintake, "_ANSWERS_WITHIN_S", 0.2)
    with pytest.raises(InfraFault, match=rf"{silent}/all.git did not answer within 0.2 s\n  fix: see that"):
        hand_ins_from(GitSource(f"{silent}/all.git"), CLASS, tmp_path / "in")
    found = hand_ins_from(GitSource(f"{silent}/{{learner}}.git"), CLASS, tmp_path / "in")
    assert [each.learner_id for each in found] == list(CLASS)
    assert all(f"/{each.learner_id}.git did not answer within" in each.problem for each in found)


def test_hosts_that_are_silent_keep_a_class_waiting_side_by_side(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Barrier(3)

    def run_to_end(*_: object, **__: object) -> None:
        # Passed only by three at once.
        asked.wait(30.0)
        raise subprocess.TimeoutExpired("git", 0.2)

    monkeypatch.setattr(gitintake, "run_to_end", run_to_end)
    found = hand_ins_from(GitSource(f"{silent}/{{learner}}.git"), CLASS, tmp_path / "in")
    assert len(found) == len(CLASS) == asked.parties


def test_a_source_that_does_not_say_whose_a_commit_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="says whose a commit is"):
        hand_ins_from(GitSource("https://example.org/x.git", "main"), CLASS, tmp_path)


@pytest.mark.parametrize("url", ["ext::sh -c 'touch /tmp/never'", "--upload-pack=touch"])
def test_a_url_that_would_run_something_runs_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(InfraFault):
        hand_ins_from(GitSource(url), CLASS, tmp_path / "in")


def test_a_password_in_a_url_is_never_printed(tmp_path: Path) -> None:
    with pytest.raises(InfraFault) as told:
        hand_ins_from(GitSource("http://kim:hunter2@127.0.0.1:9/class.git"), CLASS, tmp_path / "in")
    assert "http://***@127.0.0.1:9/class.git" in str(told.value)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("seconds", [1e12, 253_402_300_799, -4_000_000_000, "", "never", float("nan")])
def test_a_time_of_no_course_is_one_that_nobody_knows(seconds: float | str) -> None:
    assert instant(seconds) is None


@pytest.mark.parametrize("date", ["@253402300799 +0000", "@1000000000000 +0000"])
def test_a_commit_of_the_year_9999_holds_up_nobody(
    repository: Path, tmp_path: Path, date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_COMMITTER_DATE", date)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", repository, *who, "commit", "-q", "--amend", "--no-edit"], check=True)
    ada, bob = hand_ins_from(GitSource(f"file://{repository}"), CLASS, tmp_path / "in")
    assert (bob.problem, bob.submitted_at) == ("", None)
    assert ada.submitted_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_a_commit_with_one_file_too_large_or_without_any_is_its_learner_s(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "switch", "-q", "--orphan", "cyd")
    git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")
    small = SubmissionLimits(file_bytes=100_000)
    ada, bob, cyd = hand_ins_from(GitSource(f"file://{repository}"), CLASS, tmp_path / "in", small)
    assert ada.problem == ""
    assert (bob.rejected, cyd.rejected) == (True, True)
    assert bob.problem == ("refs/heads/bob: big.bin holds 200000 bytes, and 100000 are the most of a file")
    assert cyd.problem == "refs/heads/cyd: the commit holds no files"


def test_what_git_says_is_told_and_not_its_advice(tmp_path: Path) -> None:
    (absent,) = hand_ins_from(GitSource("file:///nowhere/{learner}"), ["ada"], tmp_path / "in")
    assert "'/nowhere/ada' does not appear to be a git repository" in absent.problem
    assert "repository exists" not in absent.problem
    assert not absent.rejected


def test_a_file_that_may_not_be_read_does_not_end_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert list(_pieces(tmp_path)) == [f"{tmp_path.name}/secret".encode(), b"may not be read"]


def test_what_is_fetched_lies_where_the_next_run_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    (tmp_path / "roster.csv").write_text("learner_id\nada\n")
    seen: list[Path] = []

    def fetch(source: GitSource, learners: object, folder: Path) -> None:
        assert has_owner(folder.parent)
        seen.append(folder.parent.parent)
        raise InfraFault(source.url)

    monkeypatch.setattr(batch, "hand_ins_from", fetch)
    typed = [
        "batch",
        "1",
        "file:///class.git",
        "--roster",
        tmp_path / "roster.csv",
        "--store",
        tmp_path / "c.db",
    ]
    with pytest.raises(InfraFault):
        CliRunner().invoke(app, [str(one) for one in typed], catch_exceptions=False)
    assert seen == [tmp_path / "state"]
