"""`report.html` stands alone, tells everything a learner needs, and Chromium renders it in silence."""

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle
from graders.reports.html import HtmlExporter
from tests.unit.synthetic_bundle import make_bundle
from tests.unit.synthetic_report import REPORTS, graded, ungraded

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "rect", "br", "circle", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; `unclosed` is what was left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.unclosed: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.unclosed[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.mark.parametrize("verdict", REPORTS)
def test_elements_nest_and_ids_are_unique(verdict: str, bundle: Bundle) -> None:
    page = Page(HtmlExporter().render(REPORTS[verdict](), bundle))

    assert page.unclosed == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.all("a")]
    assert {str(link).removeprefix("#") for link in links} <= set(map(str, ids))


def test_the_page_needs_and_allows_nothing_but_its_own_style(bundle: Bundle) -> None:
    text = HtmlExporter().render(graded(), bundle)
    page = Page(text)

    (policy,) = [
        m["content"] or "" for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "style", "srcset", "onload"} & set(attributes)
    assert "url(" not in style
    assert "@import" not in style


def test_it_tells_verdict_points_losses_and_provenance(bundle: Bundle) -> None:
    text = Page(HtmlExporter().render(graded(), bundle)).text

    for part in (
        "8.85 of 15.85 points",
        "55 %",
        "Stops after backoffLimit failures, also across a restart",
        "two re-creations after three failures",
        "a third re-creation of flaky-2",
        "Keep the count in status.restarts",
        "−4 points",
        "2 more criteria (7.5 points) are planned",
        "graded without a sandbox",
        "rubric sha256 " + "f" * 64,
        "scenario 15.40 s",
    ):
        assert part in text


def test_an_ungraded_page_has_no_score_and_no_traceback(bundle: Bundle) -> None:
    text = HtmlExporter().render(ungraded(), bundle)

    assert "secret-of-the-check" not in text
    page = Page(text)
    assert "Not graded: something failed that is not yours" in page.text
    assert "It is not your fault" in page.text
    assert "%" not in page.text


def test_tracks_with_losses_stand_open(bundle: Bundle) -> None:
    details = Page(HtmlExporter().render(graded(), bundle)).all("details")
    tracks = [one for one in details if "track" in (one["class"] or "").split()]

    assert ["open" in track for track in tracks] == [False, True, True]


def test_without_a_bundle_there_is_no_timeline() -> None:
    assert Page(HtmlExporter().render(graded(), None)).all("details") == []


def test_tables_and_pictures_speak_to_screen_readers(bundle: Bundle) -> None:
    page = Page(HtmlExporter().render(graded(), bundle))

    assert page.all("html")[0]["lang"] == "en"
    assert all("scope" in th or th.get("class") in ("result", "points") for th in page.all("th"))
    assert all(svg.get("aria-hidden") == "true" or "aria-labelledby" in svg for svg in page.all("svg"))


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; CI has it")
def test_chromium_renders_it_and_complains_of_nothing(bundle: Bundle, tmp_path: Path) -> None:
    assert CHROMIUM
    page = tmp_path / "report.html"
    page.write_text(HtmlExporter().render(graded(), bundle), encoding="utf-8")
    picture = tmp_path / "report.png"
    quiet = ["quic", "background-networking", "component-update", "sync", "gpu"]
    command = [CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", "--enable-logging=stderr", "--v=0"]
    command += [f"--disable-{what}" for what in quiet]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", page.as_uri()]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "CONSOLE" not in ran.stderr
