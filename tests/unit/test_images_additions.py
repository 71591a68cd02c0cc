"""What a submission needs beyond what base images hold: found by its own files, fetched without its code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from graders.faults import BadSubmission, InfraFault
from graders.images import additions
from graders.images.additions import add_modules, add_packages
from graders.progress import Progress, Silent
from graders.sandbox.fetching import PackageRequest
from graders.sandbox.goruntime import WARM, GoRuntime


def test_who_asks_for_what_the_course_has_gets_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("kopf>=1.40\nPyYAML\n")
    assert add_packages(tmp_path, tmp_path / "into", Silent()) is False
    assert not (tmp_path / "into").exists()


def test_what_only_tests_need_is_not_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "requirements-dev.txt").write_text("humanize\n")
    assert add_packages(tmp_path, tmp_path / "into", Silent()) is False


def test_other_packages_lie_beside_the_bases_and_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def fetch(
        wish: PackageRequest,
        packages: Path,
        scratch: Path,
        progress: Progress,
        *,
        machine: Sequence[str] = (),
    ) -> list[str]:
        asked.update(wish=wish.requirements_txt, machine=list(machine))
        (packages / "humanize").mkdir()
        return []

    monkeypatch.setattr(additions, "fetch", fetch)
    (tmp_path / "requirements.txt").write_text("kopf>=1.40\nhumanize==4.13.0\n")
    assert add_packages(tmp_path, tmp_path / "into", Silent()) is True
    assert asked["wish"] == "humanize==4.13.0\nkopf>=1.40\n"
    assert isinstance(asked["machine"], list)
    assert asked["machine"][:4] == ["--implementation", "cp", "--python-version", "3.11"]
    root = tmp_path / "into" / "root" / "usr/local/lib/python3.11"
    assert (root / "submission-packages" / "humanize").is_dir()
    for site in ("site-packages", "dist-packages"):
        assert "submission-packages" in (root / site / "submission.pth").read_text()
    assert not (tmp_path / "into" / "scratch").exists()


def test_the_line_that_puts_them_first_leaves_the_standard_library_where_it_is() -> None:
    path = ["", "/usr/lib/python3.11", "/usr/local/lib/python3.11/dist-packages"]

    class Sys:
        pass

    fake = Sys()
    fake.path = path  # type: ignore[attr-defined]
    exec(additions._FIRST.partition(";")[2].strip(), {"sys": fake})
    assert path[2] == "/usr/local/lib/python3.11/submission-packages"


def test_a_requirement_that_is_none_is_the_learners(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-e git+https://example.com/x\n")
    with pytest.raises(BadSubmission, match=r"requirements.txt:1"):
        add_packages(tmp_path, tmp_path / "into", Silent())


def runtime(folder: Path, script: str) -> GoRuntime:
    go = folder / "goroot" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text(f"#!/bin/sh\n{script}\n")
    go.chmod(0o755)
    return GoRuntime(folder / "goroot", folder / "modules", folder / "builds")


def test_modules_that_the_base_has_are_not_added(tmp_path: Path) -> None:
    (tmp_path / "go.sum").write_text("\n".join((WARM / "go.sum").read_text().splitlines()[:10]))
    assert add_modules(runtime(tmp_path, "exit 9"), tmp_path, tmp_path / "into") is False
    (tmp_path / "go.sum").unlink()
    assert add_modules(runtime(tmp_path / "b", "exit 9"), tmp_path, tmp_path / "into") is False


def test_others_are_picked_from_the_shared_cache_with_no_network(tmp_path: Path) -> None:
    (tmp_path / "go.sum").write_text("example.com/x v1.0.0 h1:abc=\n")
    script = (
        'mkdir -p "$GOMODCACHE/cache/download/example.com/x/@v" "$GOMODCACHE/cache/download/sumdb"\n'
        'echo "$GOPROXY $GOSUMDB $*" > "$GOMODCACHE/cache/download/example.com/x/@v/v1.0.0.zip"'
    )
    assert add_modules(runtime(tmp_path, script), tmp_path, tmp_path / "into") is True
    downloads = tmp_path / "into" / "root" / "go/pkg/mod/cache/download"
    said = (downloads / "example.com/x/@v/v1.0.0.zip").read_text()
    assert said == f"file://{tmp_path}/modules/cache/download off mod download\n"
    assert not (downloads / "sumdb").exists()


def test_a_cache_that_lacks_them_is_not_the_learners_fault(tmp_path: Path) -> None:
    (tmp_path / "go.sum").write_text("example.com/x v1.0.0 h1:abc=\n")
    with pytest.raises(InfraFault, match="not in the cache: no such module"):
        add_modules(runtime(tmp_path, "echo no such module >&2; exit 1"), tmp_path, tmp_path / "into")
