"""What the cache keeps: whole or not at all, whatever happens to its maker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.faults import InfraFault
from graders.progress import Silent
from graders.tools.kept import Kept


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept("thing", "k1", tmp_path / "things", ("one", "two"))


def maker(kept: Kept, *, fails: bool = False) -> None:
    for part in kept.parts:
        (kept.root / part).mkdir(parents=True, exist_ok=True)
        (kept.root / part / "file").write_text(part)
    if fails:
        raise InfraFault("no more")


def test_it_is_made_once_and_marked_last(kept: Kept) -> None:
    assert (kept.made(), kept.files()) == (False, {})
    kept.ensure(lambda: maker(kept), Silent())
    assert json.loads((kept.root / "one/complete.json").read_text()) == {
        "schema": "kubeproof/kept/v1",
        "key": "k1",
    }
    assert list(kept.files()) == ["one/complete.json", "one/file", "two/file"]
    kept.ensure(lambda: pytest.fail("it is made again"), Silent())


def test_what_a_maker_left_that_failed_goes(kept: Kept) -> None:
    with pytest.raises(InfraFault, match="no more"):
        kept.ensure(lambda: maker(kept, fails=True), Silent())
    assert [path.name for path in kept.root.iterdir()] == ["one.lock"]


def test_what_a_maker_left_that_was_killed_is_not_used(kept: Kept) -> None:
    (kept.root / "one").mkdir(parents=True)
    (kept.root / "one/leftover").write_text("half")
    kept.ensure(lambda: maker(kept), Silent())
    assert not (kept.root / "one/leftover").exists()


def test_where_the_next_one_can_go_on_what_is_left_stays(kept: Kept) -> None:
    resumed = Kept(kept.name, kept.key, kept.root, kept.parts, "mark", resumes=True)
    with pytest.raises(InfraFault, match="no more"):
        resumed.ensure(lambda: maker(resumed, fails=True), Silent())
    assert not resumed.made()
    assert (resumed.root / "two/file").exists()
    resumed.ensure(lambda: None, Silent())
    assert resumed.made()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, kept: Kept) -> None:
    kept.root.write_text("a file where a folder belongs")
    with pytest.raises(
        InfraFault, match=r"thing cannot be put into .*things: .*\n  fix: make room there, or"
    ):
        kept.ensure(lambda: maker(kept), Silent())
