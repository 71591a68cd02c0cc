"""From a bundle and a lab's checks to outcomes."""

from __future__ import annotations

import gc
import textwrap
import weakref
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import BundleManifest, TrackResult
from graders.evidence.records import Mark
from graders.faults import CourseError, UsageError
from graders.judging import judge
from graders.judging.catalogue import collect_checks
from graders.judging.run import outcome_of
from graders.model import Fault, Outcome, Status
from tests.unit.synthetic_bundle import make_bundle

HEAD = """
from graders.faults import InfraFault, Unmet
from graders.judging import check, Facts, Findings
from graders.model import Capability
"""


def record(
    folder: Path, *, tracks: dict[str, TrackResult] | None = None, marks: tuple[str, ...] = ()
) -> Bundle:
    writer = BundleWriter(folder)
    for place, name in enumerate(marks):
        writer.add(Mark(float(place), "lifecycle", name))
    writer.close(
        BundleManifest(
            lab="lab1",
            run_id="r1",
            created_at="2026-01-01T00:00:00Z",
            seed=1,
            provider="embedded",
            capabilities=("api",),
            sandbox="none",
            kubeproof_version="0",
            submission={},
            tracks={"lifecycle": TrackResult("done", 0, 1)} if tracks is None else tracks,
        )
    )
    return Bundle(folder)


class Course:
    """A folder of checks written for one test, and a bundle to judge by them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checks = folder / "checks"
        self.checks.mkdir()

    def module(self, source: str, name: str = "some") -> None:
        (self.checks / f"{name}.py").write_text(HEAD + textwrap.dedent(source))

    def judge(self, bundle: Bundle | None = None, only: tuple[str, ...] = ()) -> dict[str, Outcome]:
        bundle = bundle or record(self.folder / "bundle")
        outcomes = judge(bundle, lab="lab1", only=only, folder=self.checks)
        return {outcome.check_id: outcome for outcome in outcomes}


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return Course(tmp_path)


def test_a_check_reads_the_bundle_and_records_facts(course: Course, tmp_path: Path) -> None:
    course.module("""
        @check("marks", tracks=("lifecycle",))
        def check_marks(bundle, facts):
            '''The scenario got to its end.

            More for the author.
            '''
            facts["marks"] = [mark.name for mark in bundle.marks]
    """)
    outcome = course.judge(record(tmp_path / "b", marks=("created", "gone")))["marks"]
    assert outcome.status is Status.PASSED
    assert outcome.title == "The scenario got to its end."
    assert outcome.facts == {"marks": ["created", "gone"]}
    assert outcome.fault is None


def test_unmet_is_the_learners_failure_and_keeps_the_facts(course: Course) -> None:
    course.module("""
        @check("pods", hint="Name them by index.")
        def check_pods(facts):
            '''Pods.'''
            facts["before"] = 1
            raise Unmet("four pods", "three pods", facts={"missing": ["a-3"]})

        @check("own-hint", hint="Name them by index.")
        def check_own_hint():
            '''Hint.'''
            raise Unmet("four pods", "three pods", hint="Start at 0.")
    """)
    outcomes = course.judge()
    pods = outcomes["pods"]
    assert (pods.status, pods.fault) == (Status.FAILED, Fault.LEARNER)
    assert (pods.expected, pods.observed, pods.hint) == ("four pods", "three pods", "Name them by index.")
    assert pods.facts == {"before": 1, "missing": ["a-3"]}
    assert outcomes["own-hint"].hint == "Start at 0."


def test_an_infrastructure_fault_is_an_error_of_infrastructure(course: Course) -> None:
    course.module("""
        @check("a")
        def check_a():
            '''A.'''
            raise InfraFault("the audit log ended early", fix="free some disk space")
    """)
    outcome = course.judge()["a"]
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.INFRASTRUCTURE)
    assert outcome.observed == "not judged: the audit log ended early"
    assert "free some disk space" in outcome.detail


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("raise KeyError('spec')", "KeyError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("assert 1 == 2", "AssertionError"),
        ("return False", "TypeError"),
        ("facts['x'] = object()", "TypeError"),
        ("(lambda f: f(f))(lambda f: f(f))", "RecursionError"),
    ],
)
def test_whatever_else_a_check_does_is_the_graders_fault(course: Course, body: str, named: str) -> None:
    course.module(f"""
        @check("a")
        def check_a(facts):
            '''A.'''
            {body}
    """)
    outcome = course.judge()["a"]
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.GRADER)
    assert outcome.observed == f"not judged: the check itself failed with {named}"
    assert "check_a" in outcome.detail


def test_a_check_takes_the_bundle_and_facts_only(course: Course) -> None:
    course.module("""
        @check("a")
        def check_a(bundel):
            '''A.'''
    """)
    with pytest.raises(CourseError, match="check 'a' takes 'bundel'\n  fix: a check takes only bundle"):
        course.judge()


def test_a_failed_requirement_blocks_whatever_the_order_of_files(course: Course) -> None:
    course.module(
        """
        @check("c", requires=("b",))
        def check_c():
            '''C.'''

        @check("b", requires=("a",))
        def check_b():
            '''B.'''
            raise AssertionError("never run")
        """,
        "early",
    )
    course.module(
        """
        @check("a")
        def check_a():
            '''The CRD is there.'''
            raise Unmet("a CRD", "none")
        """,
        "late",
    )
    outcomes = course.judge()
    assert list(outcomes) == ["a", "b", "c"]
    assert [outcome.status for outcome in outcomes.values()] == [
        Status.FAILED,
        Status.BLOCKED,
        Status.BLOCKED,
    ]
    assert outcomes["b"].fault is Fault.LEARNER
    assert outcomes["b"].expected == "a (The CRD is there.) passes first"
    assert outcomes["b"].observed == "not judged, because a did not pass: none"
    assert outcomes["b"].hint == "Mend a first; then this can be judged."
    assert "because b did not pass" in outcomes["c"].observed


def test_a_requirement_nobody_could_judge_blocks_no_learner(course: Course) -> None:
    course.module("""
        @check("sick")
        def check_sick():
            '''S.'''
            raise InfraFault("no record")

        @check("after-sick", requires=("sick",))
        def check_after_sick():
            '''A.'''

        @check("real", needs=(Capability.REAL_PODS,))
        def check_real():
            '''R.'''

        @check("after-real", requires=("real",))
        def check_after_real():
            '''A.'''
    """)
    outcomes = course.judge()
    assert (outcomes["after-sick"].status, outcomes["after-sick"].fault) == (
        Status.ERROR,
        Fault.INFRASTRUCTURE,
    )
    assert "could not be judged" in outcomes["after-sick"].observed
    assert outcomes["after-real"].status is Status.UNSUPPORTED
    assert outcomes["real"].observed == "provider embedded cannot show this: no real-pods"


def test_a_broken_track_is_infrastructure_and_an_absent_one_is_left_out(
    course: Course, tmp_path: Path
) -> None:
    course.module("""
        @check("a", tracks=("broken",))
        def check_a():
            '''A.'''

        @check("b", tracks=("absent",))
        def check_b():
            '''B.'''

        @check("c", requires=("b",))
        def check_c():
            '''C.'''
    """)
    tracks = {"broken": TrackResult("failed", 0, 1, problem="etcd went away")}
    outcomes = course.judge(record(tmp_path / "b", tracks=tracks))
    assert list(outcomes) == ["a"]
    assert (outcomes["a"].status, outcomes["a"].fault) == (Status.ERROR, Fault.INFRASTRUCTURE)
    assert outcomes["a"].observed == "not judged: track broken of the scenario broke: etcd went away"


def test_only_gives_what_was_asked_and_judges_its_requirements(course: Course) -> None:
    course.module("""
        @check("a")
        def check_a():
            '''A.'''
            raise Unmet("x", "y")

        @check("b", requires=("a",))
        def check_b():
            '''B.'''

        @check("c")
        def check_c():
            '''C.'''
            raise AssertionError("nobody asked for it")
    """)
    outcomes = course.judge(only=("b",))
    assert list(outcomes) == ["b"]
    assert outcomes["b"].status is Status.BLOCKED


def test_only_without_the_record_for_it_is_refused(course: Course) -> None:
    course.module("""
        @check("a", tracks=("absent",))
        def check_a():
            '''A.'''
    """)
    with pytest.raises(UsageError) as caught:
        course.judge(only=("a",))
    assert "no record to judge 'a' by: track absent was not run" in str(caught.value)
    assert "--only a" in caught.value.fix


def test_only_with_an_unknown_name_is_refused(course: Course) -> None:
    course.module("""
        @check("creates-pods")
        def check_a():
            '''A.'''
    """)
    with pytest.raises(
        UsageError, match="there is no check 'create-pods'\n  fix: did you mean 'creates-pods'"
    ):
        course.judge(only=("create-pods",))


def test_a_bundle_of_another_lab_is_refused(course: Course, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this bundle records lab 'lab1', not 'lab2'"):
        judge(record(tmp_path / "b"), lab="lab2", folder=course.checks)


def test_a_check_imported_by_another_module_runs_once(course: Course) -> None:
    course.module(
        """
        @check("a")
        def check_a():
            '''A.'''
            raise Unmet("x", "y")
        """,
        "one",
    )
    course.module(
        """
        from os.path import exists as check_path
        from .one import check_a

        @check("b")
        def check_b():
            '''B.'''
        """,
        "two",
    )
    outcomes = course.judge()
    assert [(name, outcome.observed) for name, outcome in outcomes.items()] == [("a", "y"), ("b", "")]


def test_learners_text_is_bounded_and_does_not_act(course: Course) -> None:
    course.module("""
        @check("a")
        def check_a(facts):
            '''A.'''
            facts["name"] = "\\x1b]0;owned\\x07" + "n" * 10_000
            raise Unmet("x", "\\x1b[2J\\u202egnp.exe \\ud800\\n" + "o" * 1_000_000)
    """)
    outcome = course.judge()["a"]
    assert len(outcome.observed) == 4_000
    assert outcome.observed.startswith("\ufffdgnp.exe \ufffd\no")
    assert outcome.observed.endswith("…")
    assert outcome.facts["name"].startswith("nnn")
    assert len(outcome.facts["name"]) == 500


def test_a_judged_record_goes_with_the_last_who_has_it(tmp_path: Path) -> None:
    """A record is large: a class judged one after the other must not wait until garbage is looked for."""
    bundle = make_bundle(tmp_path / "bundle")
    assert [bundle.on(cluster).cluster for cluster in bundle.manifest.clusters]
    known = weakref.ref(bundle)
    gc.disable()
    try:
        found = {outcome_of(info, bundle).status for info in collect_checks("lab1")}
        del bundle
        assert known() is None
    finally:
        gc.enable()
    assert Status.FAILED in found
