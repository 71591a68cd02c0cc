"""`junit.xml` has the shape CI systems read, and blames the right one."""

import xml.etree.ElementTree as ET

import pytest

from graders.model import Fault, Outcome, Status
from graders.reports.junit import JUnitExporter
from tests.unit.synthetic_report import REPORTS, graded, ungraded

SHAPE = {
    "testsuites": ({"name"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time"}, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message", "type"}, set()),
}
"""Attributes and children of each element: a subset of what pytest's own JUnit schema allows."""


def suite(verdict: str) -> ET.Element:
    return parsed(JUnitExporter().render(REPORTS[verdict](), None))


def parsed(text: str) -> ET.Element:
    found = ET.fromstring(text).find("testsuite")
    assert found is not None
    return found


def results(cases: ET.Element) -> dict[str, str]:
    return {
        case.attrib["name"]: next((note.tag for note in case), "passed") for case in cases.iter("testcase")
    }


@pytest.mark.parametrize("verdict", REPORTS)
def test_elements_and_attributes_are_the_known_ones(verdict: str) -> None:
    for element in ET.fromstring(JUnitExporter().render(REPORTS[verdict](), None)).iter():
        attributes, children = SHAPE[element.tag]
        assert set(element.attrib) == attributes
        assert {child.tag for child in element} <= children


@pytest.mark.parametrize("verdict", REPORTS)
def test_counts_are_those_of_the_cases(verdict: str) -> None:
    found = suite(verdict)
    tags = list(results(found).values())

    assert int(found.attrib["tests"]) == len(tags) > 0
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(found.attrib[attribute]) == tags.count(tag)


def test_a_loss_is_a_failure_and_what_was_not_looked_at_is_skipped() -> None:
    assert results(suite("graded")) == {
        "creates-pods": "passed",
        "retries": "failure",
        "exit-codes": "skipped",
        "in-cluster": "skipped",
        "events": "passed",
    }


def test_a_failure_tells_expected_seen_next_step_and_facts() -> None:
    failure = suite("graded").find(".//failure")

    assert failure is not None
    assert failure.attrib["message"].startswith("a third re-creation of flaky-2")
    assert failure.text is not None
    for part in ("expected: two re-creations", "seen: a third", "next step: Keep", "recreations = 3"):
        assert part in failure.text


def test_faults_of_others_are_errors_with_their_owner() -> None:
    errors = {case.attrib["name"]: case.find("error") for case in suite("ungraded").iter("testcase")}

    owners = {name: error.attrib["type"] for name, error in errors.items() if error is not None}
    assert owners == {"suspend": "infrastructure", "metrics": "grader"}
    assert "secret-of-the-check" not in JUnitExporter().render(ungraded(), None)


def test_a_rejected_submission_is_never_green() -> None:
    failure = suite("rejected").find(".//testcase[@name='grading']/failure")

    assert failure is not None
    assert "did you mean command?" in (failure.text or "")


def test_points_are_properties() -> None:
    found = {one.attrib["name"]: one.attrib["value"] for one in suite("graded").iter("property")}

    assert found["points.total"] == "8.85"
    assert found["points.possible"] == "15.85"
    assert found["points.retries"] == "0/4"
    assert "points.leader" not in found
    assert found["provenance.kubernetes"] == "v1.37.2"


def test_a_failed_check_that_is_not_the_learners_fault_is_an_error() -> None:
    report = graded()
    outcome = Outcome("odd", Status.FAILED, observed="x", fault=Fault.INFRASTRUCTURE)

    text = JUnitExporter().render(type(report)(**{**vars(report), "outcomes": (outcome,)}), None)

    assert results(parsed(text)) == {"odd": "error"}
