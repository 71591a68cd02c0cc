"""The class's site: whole, without scripts, and honest about who has no grade."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import resource
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from graders.faults import InfraFault, UsageError
from graders.gradebook.model import GradebookModel, GradeState
from graders.model import Fault, Status
from graders.site import ClassModel, LabSources, SlowWait, build_site
from graders.site.pages import page_name
from tests.unit.synthetic_class import graded, learner, small_class, without
from tests.unit.synthetic_sources import program, sources

HOSTILE = "\"'><script>document.documentElement.id='ran'</script><img src=x onerror=alert(1)>{{7*7}}"
ADDRESS = "//evil.example/"


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.style = self.text = self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "style":
            self.style += data
        self.text += data

    def every(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def small() -> ClassModel:
    names = {
        f"learner-{i:03}": one for i, one in enumerate(("ada", "late", "zero", "full", "formula", "possible"))
    }
    made = sources(12)
    handed_in = {names.get(name, name): files for name, files in made.handed_in.items()}
    waits = tuple(
        SlowWait(who, "retries", f"pod {who}-1 is gone", 3.0 + i) for i, who in enumerate(names.values())
    )
    return ClassModel(
        small_class(),
        {"lab1": waits},
        {"lab1": LabSources(handed_in, made.given)},
        lambda lab, who: "" if who == "missing" else f"<!doctype html><title>{lab} {who}</title>",
    )


def hostile() -> ClassModel:
    bad = dataclasses.replace(
        learner(HOSTILE, 1),
        last_name=HOSTILE,
        first_name=ADDRESS,
        email="javascript:alert(1)",
        section=HOSTILE,
    )
    losses = tuple(
        dataclasses.replace(loss, expected=HOSTILE, observed=HOSTILE * 3, hint=HOSTILE, title=HOSTILE)
        for loss in graded("x").losses
    )
    twin = learner("twin", 2)
    labs = (dataclasses.replace(small_class().labs[0], title=HOSTILE),)
    files = {f"../{HOSTILE}.py": f"# {HOSTILE}\n" + program(1), "a.py": f"x = '''{HOSTILE}'''\n" * 40}
    book = GradebookModel(
        HOSTILE,
        labs,
        (bad, twin),
        (graded(HOSTILE, losses=losses, problem=HOSTILE), without("twin", GradeState.UNGRADED, HOSTILE)),
    )
    waits = (SlowWait(HOSTILE, HOSTILE, HOSTILE, 2.0),)
    return ClassModel(
        book,
        {"lab1": waits},
        {"lab1": LabSources({HOSTILE: files, "twin": dict(files)})},
        lambda lab, who: "",
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    build_site(small(), out)
    return out


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    build_site(hostile(), out)
    return out


def pages(out: Path) -> dict[Path, Page]:
    """All of them but the reports, which are not ours to write."""
    return {
        file: Page(file.read_text()) for file in out.rglob("*.html") if file.parent.parent.name != "learners"
    }


@pytest.mark.parametrize("which", ["site", "attacked"])
class TestEveryPage:
    """Each holds to it, whatever learners wrote."""

    @pytest.fixture
    def all_pages(self, which: str, request: pytest.FixtureRequest) -> dict[Path, Page]:
        found = pages(request.getfixturevalue(which))
        assert len(found) >= 5
        return found

    def test_allows_its_own_style_sheet_and_nothing_else(self, all_pages: dict[Path, Page]) -> None:
        for page in all_pages.values():
            digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
            assert page.every("content")[0] == (
                f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
            )

    def test_has_nothing_that_could_run(self, all_pages: dict[Path, Page]) -> None:
        for page in all_pages.values():
            tags = {tag for tag, _ in page.tags}
            assert not tags & {
                "script",
                "img",
                "iframe",
                "object",
                "embed",
                "form",
                "base",
                "link",
                "foreignobject",
            }
            names = {name for _, attributes in page.tags for name in attributes}
            assert not [name for name in names if name.startswith("on") or name in ("style", "src", "srcset")]

    def test_leads_only_to_what_is_there(self, all_pages: dict[Path, Page]) -> None:
        for file, page in all_pages.items():
            for link in page.every("href"):
                place, _, fragment = link.partition("#")
                target = file.parent / unquote(place) if place else file
                assert re.fullmatch(r"[a-z0-9_./#-]+", link)
                assert target.is_file(), link
                if fragment:
                    assert fragment in Page(target.read_text()).every("id"), link

    def test_has_each_id_once(self, all_pages: dict[Path, Page]) -> None:
        for page in all_pages.values():
            assert len(page.every("id")) == len(set(page.every("id")))

    def test_evaluates_nothing(self, all_pages: dict[Path, Page]) -> None:
        assert not any("{49}" in page.text or ">49<" in page.text for page in all_pages.values())


def test_who_is_not_graded_has_no_number(site: Path) -> None:
    index = (site / "index.html").read_text()

    for state in ("ungraded", "excused", "missing", "rejected"):
        (row,) = re.findall(rf"<tr><th scope=\"row\"><a [^>]*>{state}</a>.*</tr>", index)
        assert f'<span class="pill {state}">{state}</span>' in row
        assert "<svg" not in row
    assert "ungraded</dt><dd>1" in index
    assert "Not graded:</strong> <a" in (site / "lab1" / "index.html").read_text()


def test_a_learner_s_page_names_nobody_else(site: Path) -> None:
    names = [one.learner_id for one in small_class().learners]
    for name in names:
        text = re.sub(
            r"<style>.*</style>", "", (site / "learners" / f"{name}.html").read_text(), flags=re.DOTALL
        )
        others = [
            other
            for other in names
            if other not in (name, "ungraded", "excused", "missing", "rejected", "late", "possible")
        ]
        assert not [other for other in others if re.search(rf"\b{other}@|>{other}<|/{other}\b", text)]


def test_lateness_and_overrides_are_lines_of_their_own(site: Path) -> None:
    text = Page((site / "learners" / "late.html").read_text()).text

    assert "late: -1.10 points: 2 days late, 1 in the bank" in text
    assert "override: +0.60 points: =HYPERLINK(1) (Prof. @Hopper)" in text


def test_a_learner_s_report_is_linked_where_there_is_one(site: Path) -> None:
    assert (site / "learners" / "ada" / "lab1.html").read_text().endswith("<title>lab1 ada</title>")
    assert 'href="ada/lab1.html"' in (site / "learners" / "ada.html").read_text()
    assert "the whole report" not in (site / "learners" / "missing.html").read_text()


def test_those_alike_stand_side_by_side(site: Path) -> None:
    page = (site / "lab1" / "alike-1.html").read_text()

    assert re.findall(r"<h2><a [^>]*>(\w+)</a>", page) == ["full", "possible"]
    assert "phase_3(my_job" in page
    assert "step_3(job" in page
    assert re.search(r'<tr class="shared"><td>\d+</td><td><span class="go"><a id="a1" href="#b1"', page)


def test_what_is_nobody_s_fault_who_learns_is_said(tmp_path: Path) -> None:
    broken = dataclasses.replace(graded("x").losses[0], status=Status.ERROR, fault=Fault.INFRASTRUCTURE)
    model = small_class()
    grades = tuple(
        dataclasses.replace(one, losses=(broken,)) if one.learner_id == "ungraded" else one
        for one in model.grades
    )
    build_site(ClassModel(dataclasses.replace(model, grades=grades)), tmp_path / "site")

    told = "not the learner’s fault and costs no points"
    assert told in (tmp_path / "site" / "learners" / "ungraded.html").read_text()
    assert told not in (tmp_path / "site" / "learners" / "ada.html").read_text()


def test_an_empty_class_has_a_site_too(tmp_path: Path) -> None:
    build_site(ClassModel(GradebookModel("c", small_class().labs, (), ())), tmp_path / "site")

    text = (tmp_path / "site" / "lab1" / "index.html").read_text()
    for told in ("Nobody has a grade yet.", "Nobody lost anything.", "No waits were recorded.", "No sources"):
        assert told in text


def test_the_same_class_gives_the_same_site(site: Path, tmp_path: Path) -> None:
    build_site(small(), tmp_path / "again")

    assert {file.relative_to(site): file.read_bytes() for file in site.rglob("*.html")} == {
        file.relative_to(tmp_path / "again"): file.read_bytes()
        for file in (tmp_path / "again").rglob("*.html")
    }


def test_a_store_that_fails_in_the_middle_leaves_the_earlier_site(tmp_path: Path) -> None:
    plain = dataclasses.replace(small(), sources={})
    build_site(plain, tmp_path / "site")
    before = (tmp_path / "site" / "index.html").stat().st_mtime_ns

    def goes_away(lab: str, who: str) -> str:
        raise ConnectionError("the database went away")

    with pytest.raises(UsageError):
        build_site(dataclasses.replace(plain, report=goes_away), tmp_path / "site")

    assert (tmp_path / "site" / "index.html").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_disk_that_fills_leaves_the_earlier_site(tmp_path: Path) -> None:
    plain = dataclasses.replace(small(), sources={})
    build_site(plain, tmp_path / "site")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    large = dataclasses.replace(plain, report=lambda lab, who: "x" * 2**21)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(InfraFault, match="this machine failed"):
            build_site(large, tmp_path / "site")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["../../etc/passwd", "A", "a.b", "", "é", "a" * 300, "con\0", "\ud800"])
def test_no_name_leads_anywhere_else(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,60}", page_name(name))
    assert page_name(name) != page_name(name + "x")


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(UsageError, match=r"thesis.txt.*stays\n.*--out"):
        build_site(dataclasses.replace(small(), sources={}), tmp_path)

    assert (tmp_path / "thesis.txt").read_text() == "mine"
