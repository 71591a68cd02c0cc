"""A bundle's digest changes with every byte, name and file of it, and with nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.evidence.digest import bundle_digest, verify_digest
from graders.faults import InfraFault


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "logs").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "marks.jsonl").write_text('{"t": 1}\n')
    (folder / "logs" / "operator.log").write_bytes(b"\xff\n")
    return folder


def test_a_copy_elsewhere_has_the_same(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(bundle, copy)
    os.utime(copy / "marks.jsonl", (1, 1))
    assert bundle_digest(copy) == bundle_digest(bundle)
    verify_digest(copy, bundle_digest(bundle))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "marks.jsonl").write_text('{"t": 2}\n'),
        lambda folder: (folder / "marks.jsonl").write_text('{"t": 1}'),
        lambda folder: (folder / "logs" / "operator.log").unlink(),
        lambda folder: (folder / "waits.jsonl").write_text(""),
        lambda folder: (folder / "marks.jsonl").rename(folder / "marks2.jsonl"),
        lambda folder: (folder / "marks.jsonl").rename(folder / "logs" / "marks.jsonl"),
    ],
    ids=["byte", "end", "gone", "more", "renamed", "moved"],
)
def test_a_bundle_that_was_changed_is_refused(bundle: Path, change: Callable[[Path], object]) -> None:
    before = bundle_digest(bundle)
    change(bundle)
    with pytest.raises(InfraFault, match="was changed after it was stored"):
        verify_digest(bundle, before)


def test_a_link_is_no_evidence(bundle: Path, tmp_path: Path) -> None:
    before = bundle_digest(bundle)
    (bundle / "marks.jsonl").rename(tmp_path / "marks.jsonl")
    (bundle / "marks.jsonl").symlink_to(tmp_path / "marks.jsonl")
    with pytest.raises(InfraFault, match=r"holds 'marks\.jsonl', which is no file"):
        verify_digest(bundle, before)


def test_a_bundle_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InfraFault, match=r"the bundle .*nothing cannot be read: No such file"):
        bundle_digest(tmp_path / "nothing")
