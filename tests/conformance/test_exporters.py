"""What every exporter keeps to, whatever it writes: a new one is in here as soon as it is registered."""

from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle
from graders.reports.exporter import Exporter
from graders.reports.registry import EXPORTERS, write_reports
from tests.unit.synthetic_bundle import make_bundle
from tests.unit.synthetic_report import REPORTS

pytestmark = [
    pytest.mark.parametrize("exporter", EXPORTERS.values(), ids=EXPORTERS),
    pytest.mark.parametrize("verdict", REPORTS),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def test_it_renders_every_verdict_with_and_without_a_bundle(
    exporter: Exporter, verdict: str, bundle: Bundle
) -> None:
    for evidence in (bundle, None):
        text = exporter.render(REPORTS[verdict](), evidence)
        assert text == "" or text.endswith("\n")
        text.encode("utf-8")


def test_it_renders_the_same_twice(exporter: Exporter, verdict: str, bundle: Bundle) -> None:
    assert exporter.render(REPORTS[verdict](), bundle) == exporter.render(REPORTS[verdict](), bundle)


def test_its_file_is_a_plain_name_of_its_own(exporter: Exporter, verdict: str) -> None:
    assert Path(exporter.file_name).name == exporter.file_name
    assert [one.file_name for one in EXPORTERS.values()].count(exporter.file_name) == 1


def test_only_staff_read_what_broke_inside_a_check(exporter: Exporter, verdict: str, bundle: Bundle) -> None:
    leaks = "secret-of-the-check" in exporter.render(REPORTS[verdict](), bundle)

    assert leaks == (exporter.name == "staff" and verdict == "ungraded")


def test_what_is_written_is_what_was_rendered(
    exporter: Exporter, verdict: str, bundle: Bundle, tmp_path: Path
) -> None:
    written = write_reports(REPORTS[verdict](), bundle, tmp_path, [exporter.name])

    rendered = exporter.render(REPORTS[verdict](), bundle)
    assert {name: path.read_text(encoding="utf-8") for name, path in written.items()} == (
        {exporter.name: rendered} if rendered else {}
    )


def test_it_changes_nothing_in_the_bundle(exporter: Exporter, verdict: str, bundle: Bundle) -> None:
    before = {path: path.read_bytes() for path in bundle.folder.rglob("*") if path.is_file()}

    exporter.render(REPORTS[verdict](), bundle)

    assert before == {path: path.read_bytes() for path in bundle.folder.rglob("*") if path.is_file()}
