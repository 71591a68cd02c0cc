"""The class's site in a real browser: what learners wrote does not run, where one is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from graders.site import build_site
from tests.unit.test_site import HOSTILE, hostile

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not BROWSER, reason="there is no Chromium: apt-get install chromium"),
]


def seen(page: Path, tmp_path: Path) -> str:
    """The page's elements as they are after everything in it that can run has run."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout


def test_a_browser_runs_such_text_where_nothing_keeps_it_from_that(tmp_path: Path) -> None:
    """Else the test below would show nothing."""
    # A dialog that opens waits for somebody to close it.
    text = HOSTILE.replace("alert(1)", "0")
    (tmp_path / "open.html").write_text(f"<!doctype html><title>x</title><p>{text}")

    assert '<html id="ran">' in seen(tmp_path / "open.html", tmp_path)


def test_nothing_runs_that_learners_wrote(tmp_path: Path) -> None:
    for page in build_site(hostile(), tmp_path / "site"):
        dom = seen(page, tmp_path)
        assert '<html lang="en">' in dom
        assert 'id="ran"' not in dom
