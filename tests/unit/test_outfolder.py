"""What is in a folder of results is ours or left alone; a graded record outlives all that come to none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.faults import UsageError
from graders.outfolder import MARKER, SCHEMA, OutFolder


def record(out: OutFolder, text: str, verdict: str = "graded", *, whole: bool = True) -> None:
    """A grading, from the check to the reports."""
    out.check()
    out.begin()
    out.discard()
    (out.recording / "logs").mkdir(parents=True)
    (out.recording / "logs" / "operator-1.log").write_text(text)
    if whole:
        (out.recording / "manifest.json").write_text(text)
    out.replace()
    write_report(out, verdict)


def write_report(out: OutFolder, verdict: str) -> None:
    out.begin()
    (out.path / "report.json").write_text(json.dumps({"verdict": verdict}))
    out.settle(graded=verdict == "graded")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> OutFolder:
    return OutFolder(tmp_path / "out" / "lab1", ("report.json",))


BUNDLE = {"bundle/manifest.json", "bundle/logs/operator-1.log"}


def test_a_marker_says_what_is_ours(out: OutFolder) -> None:
    record(out, "one")
    assert files(out.path) == {MARKER, "report.json", *BUNDLE}
    marker = json.loads((out.path / MARKER).read_text())
    assert marker == {"schema": SCHEMA, "files": sorted([*BUNDLE, "bundle/", "bundle/logs/", "report.json"])}
    out.check()


@pytest.mark.parametrize(
    "name", ["notes.txt", "bundle/x.yaml", "bundle/logs/mine", "report.html", "deep/er/x"]
)
def test_what_somebody_put_there_is_left_alone(out: OutFolder, name: str) -> None:
    record(out, "one")
    mine = out.path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(UsageError, match="holds what kubeproof did not write") as caught:
        out.check()
    assert "--out" in caught.value.fix
    assert name.split("/", maxsplit=1)[0] in caught.value.problem


def test_a_folder_that_was_never_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle" / "manifests").mkdir(parents=True)
    for number in range(5):
        (tmp_path / f"{number}\x1b").touch()
    with pytest.raises(UsageError, match=r"\(0\\x1b, 1\\x1b, 2\\x1b, \.\.\.\)"):
        OutFolder(tmp_path).check()


def test_a_link_is_never_ours(out: OutFolder, tmp_path: Path) -> None:
    record(out, "one")
    (tmp_path / "theirs").mkdir()
    (out.path / "report.json").unlink()
    (out.path / "report.json").symlink_to(tmp_path / "theirs")
    with pytest.raises(UsageError, match=r"report\.json"):
        out.check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "kubeproof/out/v9", "files": ["x"]}', "\xff"])
def test_a_marker_that_says_nothing_makes_nothing_ours(out: OutFolder, text: str) -> None:
    out.path.mkdir(parents=True)
    (out.path / MARKER).write_bytes(text.encode("latin-1"))
    (out.path / "x").touch()
    with pytest.raises(UsageError, match=r"\(x\)"):
        out.check()


def test_folders_of_ours_may_stand_in_a_folder(out: OutFolder) -> None:
    record(out, "one")
    OutFolder(out.path.parent).check()
    (out.path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"\(lab1/notes\.txt\)"):
        OutFolder(out.path.parent).check()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="is no folder"):
        OutFolder(tmp_path / "x").check()
    with pytest.raises(UsageError, match="results cannot be written here: Not a directory"):
        OutFolder(tmp_path / "x" / "y").begin()


def test_nothing_is_made_by_a_check(out: OutFolder) -> None:
    out.check()
    assert not out.path.exists()


def test_the_bundle_being_judged_may_stand_where_its_report_goes(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    OutFolder(tmp_path).check(judged=tmp_path / "bundle")
    with pytest.raises(UsageError):
        OutFolder(tmp_path).check(judged=tmp_path / "other")


def test_a_graded_record_replaces_the_one_before(out: OutFolder) -> None:
    record(out, "one")
    record(out, "two")
    assert files(out.path) == {MARKER, "report.json", *BUNDLE}
    assert (out.bundle / "manifest.json").read_text() == "two"


def test_while_one_is_made_the_one_before_is_whole(out: OutFolder) -> None:
    record(out, "one")
    out.begin()
    (out.recording / "logs").mkdir(parents=True)
    assert (out.bundle / "manifest.json").read_text() == "one"
    # Killed now; the next one begins anew.
    record(out, "two")
    assert files(out.path) == {MARKER, "report.json", *BUNDLE}


@pytest.mark.parametrize("verdict", ["rejected", "ungraded"])
def test_a_grading_without_a_record_sets_the_last_graded_one_aside(out: OutFolder, verdict: str) -> None:
    record(out, "one")
    for _ in range(2):
        out.check()
        out.replace()
        write_report(out, verdict)
        aside = {f"earlier/{name}" for name in (MARKER, "report.json", *BUNDLE)}
        assert files(out.path) == {MARKER, "report.json", *aside}
        assert json.loads((out.path / "report.json").read_text())["verdict"] == verdict
    OutFolder(out.path / "earlier").check()
    record(out, "two")
    assert files(out.path) == {MARKER, "report.json", *BUNDLE}


def test_a_record_that_was_not_graded_takes_nothing_s_place(out: OutFolder) -> None:
    record(out, "one")
    record(out, "two", "ungraded")
    record(out, "three", "ungraded", whole=False)
    assert (out.path / "earlier" / "bundle" / "manifest.json").read_text() == "one"
    assert files(out.bundle) == {"logs/operator-1.log"}
    record(out, "four")
    assert files(out.path) == {MARKER, "report.json", *BUNDLE}


def test_a_run_that_dies_before_its_report_leaves_both_records(out: OutFolder) -> None:
    record(out, "one")
    out.begin()
    out.recording.mkdir(parents=True)
    (out.recording / "manifest.json").write_text("two")
    out.replace()
    assert (out.path / "earlier" / "bundle" / "manifest.json").read_text() == "one"
    assert (out.bundle / "manifest.json").read_text() == "two"
    record(out, "three")
    assert (out.bundle / "manifest.json").read_text() == "three"


def test_what_stands_beside_the_reports_stays(out: OutFolder) -> None:
    out.begin("log.txt")
    (out.path / "log.txt").write_text("mine and yours")
    record(out, "one")
    record(out, "two", "rejected", whole=False)
    out.check()
    assert (out.path / "log.txt").read_text() == "mine and yours"


def test_results_of_a_kubeproof_that_marked_nothing_may_be_removed(out: OutFolder) -> None:
    out.path.mkdir(parents=True)
    (out.path / "x").touch()
    for remedy in (
        "name a new folder with --out",
        "remove this one if it holds nothing but results of an older",
    ):
        with pytest.raises(UsageError) as caught:
            out.check()
        assert remedy in caught.value.fix
        (out.path / "report.json").touch()
