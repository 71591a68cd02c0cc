"""`junit.xml`: one test case for each check, for CI systems that read JUnit.

Only a learner's loss is a `failure`. What infrastructure or the grader broke is an `error`, and what
was not looked at is `skipped`, so a dashboard never blames the wrong one.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from graders.evidence.bundle import Bundle
from graders.model import Fault, GradeReport, Outcome, Status, Verdict
from graders.reports.text import clean, fact_text, one_line, points_text
from graders.reports.withheld import for_learners

_MESSAGE = 300


class JUnitExporter:
    """Writes `junit.xml`."""

    name = "junit"
    file_name = "junit.xml"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:  # noqa: ARG002 - one shape for all
        """One `testsuites` with one `testsuite`, in the shape that pytest writes too."""
        report = for_learners(report)
        cases = [_case(report, outcome) for outcome in report.outcomes]
        cases += _verdict_case(report, cases)
        counts = {
            "tests": str(len(cases)),
            "failures": _count(cases, "failure"),
            "errors": _count(cases, "error"),
            "skipped": _count(cases, "skipped"),
            "time": f"{report.timing.get('total', 0.0):.3f}",
        }
        root = Element("testsuites", {"name": "kubeproof"})
        suite = SubElement(root, "testsuite", {"name": one_line(report.lab), **counts})
        properties = SubElement(suite, "properties")
        for name, value in _properties(report):
            SubElement(properties, "property", {"name": name, "value": value})
        suite.extend(cases)
        indent(root)
        return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _properties(report: GradeReport) -> Iterator[tuple[str, str]]:
    yield "verdict", report.verdict.value
    if report.score is not None:
        yield "points.total", points_text(report.score.total)
        yield "points.possible", points_text(report.score.possible)
        for one in report.score.criteria:
            if not one.criterion.planned:
                earned = f"{points_text(one.earned)}/{points_text(one.points)}"
                yield f"points.{one_line(one.criterion.id)}", earned
    for name, value in report.provenance.items():
        yield f"provenance.{one_line(name)}", one_line(fact_text(value), _MESSAGE)


def _case(report: GradeReport, outcome: Outcome) -> Element:
    name = one_line(outcome.check_id)
    case = Element(
        "testcase",
        {"classname": f"kubeproof.{one_line(report.lab)}", "name": name, "time": f"{outcome.duration_s:.3f}"},
    )
    text = _told(outcome)
    message = one_line(outcome.observed or outcome.expected or outcome.title or name, _MESSAGE)
    match outcome.status:
        case Status.FAILED if outcome.fault in (None, Fault.LEARNER):
            _note(case, "failure", message, "learner", text)
        case Status.FAILED | Status.ERROR:
            _note(case, "error", message, str(outcome.fault or Fault.GRADER), text)
        case Status.BLOCKED | Status.UNSUPPORTED:
            _note(case, "skipped", message, outcome.status.value, text)
        case Status.PASSED:
            pass
    return case


def _verdict_case(report: GradeReport, cases: list[Element]) -> list[Element]:
    """A report without a grade must not look green where no check shows why."""
    if report.verdict is Verdict.GRADED or any(case.find("error") is not None for case in cases):
        return []
    case = Element(
        "testcase", {"classname": f"kubeproof.{one_line(report.lab)}", "name": "grading", "time": "0.000"}
    )
    kind = "failure" if report.verdict is Verdict.REJECTED else "error"
    problem = report.problem or f"the submission is {report.verdict}"
    _note(case, kind, one_line(problem, _MESSAGE), report.verdict.value, clean(problem))
    return [case]


def _note(case: Element, tag: str, message: str, kind: str, text: str) -> None:
    SubElement(case, tag, {"message": message, "type": kind}).text = text


def _told(outcome: Outcome) -> str:
    lines = [
        f"{label}: {clean(value)}"
        for label, value in (
            ("expected", outcome.expected),
            ("seen", outcome.observed),
            ("next step", outcome.hint),
        )
        if value
    ]
    facts = list(outcome.facts.items())[:40]
    lines += [f"{one_line(str(name))} = {fact_text(value)}" for name, value in facts]
    return "\n".join(lines)


def _count(cases: list[Element], tag: str) -> str:
    return str(sum(case.find(tag) is not None for case in cases))
