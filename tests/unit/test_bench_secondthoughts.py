"""The class that second thoughts are measured on: every record is one of its own, and can be judged."""

from __future__ import annotations

import random
from collections import namedtuple
from pathlib import Path

import pytest

from graders.benchmarks import secondthoughts
from graders.benchmarks.secondthoughts import cut_out, expect_room
from graders.evidence.bundle import Bundle
from graders.evidence.digest import bundle_digest
from graders.evidence.records import Scrape
from graders.faults import InfraFault
from tests.unit.lab1_recording import reference

Usage = namedtuple("Usage", "total used free")


def test_each_record_is_another_one_and_still_a_bundle(tmp_path: Path) -> None:
    dice = random.Random(1)
    whole = reference().store(tmp_path / "whole")
    scrapes = list(whole.records(Scrape))
    digests = {bundle_digest(tmp_path / "whole")}
    for name in ("one", "other"):
        reference().store(tmp_path / name)
        cut_out(tmp_path / name, dice)
        left = list(Bundle(tmp_path / name).records(Scrape))
        assert len(left) < len(scrapes)
        assert all(one in scrapes for one in left)
        digests.add(bundle_digest(tmp_path / name))
    assert len(digests) == 3


def test_a_disk_without_room_is_told_before_anything_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    record.mkdir()
    (record / "audit.jsonl").write_bytes(b"x" * 1_000_000)
    monkeypatch.setattr(secondthoughts.shutil, "disk_usage", lambda _: Usage(0, 0, 300_000_000 + 2**30))
    expect_room(tmp_path, record, 300)
    with pytest.raises(InfraFault, match=r"301 records take 0.3 GB, and 1.4 GB are free in"):
        expect_room(tmp_path, record, 301)
