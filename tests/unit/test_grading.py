"""The straight line of grading, and how each kind of trouble ends it.

Cluster, sandbox and scenario are stand-ins here: what they do is proved elsewhere. The checks, the
rubric and the submission are the real ones, and the stand-in scenario records what a real run recorded.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from graders import grading, recording
from graders.clusters import registry
from graders.clusters.provider import ClusterSpec
from graders.course import Lab, load_course
from graders.evidence.bundle import Bundle
from graders.evidence.manifest import Calibration, TrackResult
from graders.evidence.records import NAMESPACE
from graders.faults import BadSubmission, CourseError, InfraFault, UsageError
from graders.grading import GradeRequest, grade
from graders.judgement import judge_bundle
from graders.judging import tracks_for
from graders.kube.client import Answer
from graders.lab1 import scenario as lab1
from graders.model import Capability, Cluster, Fault, Role, Status, Submission, Verdict
from graders.outfolder import MARKER
from graders.paths import REPOSITORY
from graders.progress import Progress, Silent
from graders.scenario import fleet
from graders.scenario.spec import Acting, Recorded, Run
from tests.unit.lab1_recording import Recording, reference

STARTER = REPOSITORY / "labs" / "lab1" / "starter"


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_course().find_lab("lab1")


@dataclass
class Stage:
    """The stand-ins: `acts` is what the scenario does in each attempt, the last one again and again."""

    acts: list[Callable[[Run], Recorded]]
    provisioned: int = 0
    up: bool = False
    runs: list[Run] = field(default_factory=list)
    trouble: Exception | None = None
    problem: str = ""
    unprepared: list[Exception] = field(default_factory=list)
    """What goes wrong with preparing, one for each attempt."""
    events: list[str] = field(default_factory=list)

    # --- provider ---

    name = "stand-in"
    several = True
    caution = ""
    capabilities = frozenset(
        {Capability.API, Capability.CONTROLLERS, Capability.SIMULATED_NODES, Capability.AUDIT_LOG}
    )

    def shared(self, progress: Progress) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        del progress
        return contextlib.nullcontext({})

    @contextlib.contextmanager
    def ready(self, specs: Sequence[ClusterSpec], progress: Progress) -> Iterator[str]:
        self.events.append("programs")
        yield "unix:///engine"
        self.events.append("programs may go")

    @contextlib.contextmanager
    def provision(self, spec: ClusterSpec, progress: Progress) -> Iterator[Cluster]:
        self.provisioned += 1
        self.events.append("cluster")
        if self.trouble is not None:
            raise self.trouble
        assert spec.on_audit is not None
        self.up = True
        try:
            yield Cluster("c", Path("kubeconfig"), "v1.37.2", self.capabilities, owned=True)
        finally:
            self.up = False

    # --- scenario ---

    TRACKS = lab1.TRACKS

    def examine(self, submission: Submission) -> None:
        lab1.examine(submission)

    @contextlib.contextmanager
    def prepare(self, run: Run) -> Iterator[Acting]:
        spec = ClusterSpec(name="stand-in")
        with run.fleet.ready(spec):
            self.events.append(f"prepared with {run.fleet.engine}")
            if self.unprepared:
                raise self.unprepared.pop(0)
            yield lambda: self.record(run, spec)
            self.events.append("what was prepared may go")

    def record(self, run: Run, spec: ClusterSpec) -> Recorded:
        with run.fleet.start(spec):
            self.events.append("acts")
            self.runs.append(run)
            act = self.acts[min(len(self.runs), len(self.acts)) - 1]
            return act(run)


class Kube:
    """An API server that is well."""

    def request(self, *_: object, **__: object) -> Answer:
        return Answer(200, {})


class Sandbox:
    name = "stand-in"
    caution = "nothing ran in it"

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def problem(self) -> str:
        return self._problem


def replay(change: Callable[[Recording], None] = lambda _: None) -> Callable[[Run], Recorded]:
    """Record what the reference's run recorded on the tracks that are asked for, changed or not."""

    def act(run: Run) -> Recorded:
        recording = reference()
        change(recording)
        folder = run.session.folder / "again"
        bundle = recording.held(folder)
        everything = frozenset(lab1.TRACKS) == run.selection
        places = {
            mark.data["namespace"]
            for mark in bundle.marks
            if mark.track in run.selection and mark.name == NAMESPACE
        }
        for record in (
            *bundle.marks, *bundle.audit, *bundle.watch_events, *bundle.scrapes, *bundle.processes,
            *bundle.requests, *bundle.exchanges, *bundle.disturbances, *bundle.tools,
        ):  # fmt: skip
            track, place = getattr(record, "track", None), getattr(record, "namespace", None)
            if everything or track in run.selection or place in places:
                run.recording.writer.add(record)
        tracks = {name: result for name, result in bundle.manifest.tracks.items() if name in run.selection}
        run.recording.clusters.update(bundle.manifest.clusters)
        actors = {user: Role(role) for user, role in bundle.manifest.actors.items()}
        return Recorded(
            tracks=tracks, calibration=Calibration(1.0, 10.0), actors=actors, block={"language": "python"}
        )

    return act


def fails(error: Exception) -> Callable[[Run], Recorded]:
    def act(_: Run) -> Recorded:
        raise error

    return act


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    stage = Stage([replay()])
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    monkeypatch.setitem(registry.PROVIDERS, "stand-in", lambda _: stage)
    for module in (grading, recording):
        monkeypatch.setattr(module, "scenario_of", lambda _: stage)
    monkeypatch.setattr(recording, "sandbox_named", lambda _: Sandbox(stage.problem))
    monkeypatch.setattr(fleet, "kube_of", lambda _: Kube())
    return stage


@pytest.fixture
def whole_request(lab: Lab, tmp_path: Path) -> GradeRequest:
    return GradeRequest(lab, STARTER, tmp_path / "out", provider="stand-in", sandbox="stand-in", seed=7)


@pytest.fixture
def request_(whole_request: GradeRequest) -> GradeRequest:
    """A request for one check: what its tracks recorded is soon written and soon judged."""
    return replace(whole_request, only=("deadlines",))


def left_behind(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "state").iterdir() if path.is_dir()]


# --- graded ----------------------------------------------------------------------------------------


def test_a_run_that_shows_everything_earns_everything(stage: Stage, whole_request: GradeRequest) -> None:
    report = grade(whole_request, Silent())
    assert report.verdict is Verdict.GRADED
    assert report.score is not None
    assert report.score.percent == Decimal(100)
    assert report.problem == ""
    others = {
        outcome.check_id: outcome.status for outcome in report.outcomes if outcome.status != Status.PASSED
    }
    assert others == {"in-cluster": Status.UNSUPPORTED}
    assert stage.provisioned == 1


def test_a_report_names_what_it_rests_on(stage: Stage, request_: GradeRequest) -> None:
    report = grade(request_, Silent())
    said = report.provenance
    assert (said["provider"], said["sandbox"], said["seed"]) == ("stand-in", "stand-in", 7)
    assert said["kubernetes"] == "v1.37.2"
    assert said["rubric_sha256"] == request_.lab.rubric.sha256
    assert report.submission["digest"].startswith("sha256:")
    assert report.warnings == ("nothing ran in it",)
    assert list(report.timing) == ["prepare", "cluster_start", "scenario", "judge", "total"]


def test_the_bundle_gives_the_same_report_again(stage: Stage, whole_request: GradeRequest) -> None:
    stage.acts = [replay(lambda r: r.last("retries", "flaky")["status"].update(restarts=9))]
    report = grade(whole_request, Silent())
    again = judge_bundle(whole_request.lab, whole_request.out / "bundle")
    assert [(o.check_id, o.status, o.observed) for o in again.outcomes] == [
        (o.check_id, o.status, o.observed) for o in report.outcomes
    ]
    assert again.score == report.score
    assert report.score is not None
    assert report.score.total == report.score.possible - 6


def test_only_runs_the_tracks_behind_what_was_asked(stage: Stage, lab: Lab, tmp_path: Path) -> None:
    request = GradeRequest(
        lab, STARTER, tmp_path / "out", provider="stand-in", sandbox="stand-in", only=("deadlines",)
    )
    report = grade(request, Silent())
    assert stage.runs[0].selection == tracks_for("lab1", ("deadlines",)) == {"deadline", "ttl"}
    assert [outcome.check_id for outcome in report.outcomes] == ["deadlines"]
    assert report.score is not None
    assert report.score.possible == Decimal(4)


def test_a_seed_is_drawn_where_none_is_given_and_is_told(stage: Stage, lab: Lab, tmp_path: Path) -> None:
    request = GradeRequest(
        lab, STARTER, tmp_path / "out", provider="stand-in", sandbox="stand-in", only=("deadlines",)
    )
    report = grade(request, Silent())
    assert report.provenance["seed"] == stage.runs[0].session.seed >= 0


def test_the_cluster_is_held_before_it_goes(stage: Stage, lab: Lab, tmp_path: Path) -> None:
    held: list[bool] = []
    request = GradeRequest(
        lab, STARTER, tmp_path / "out", provider="stand-in", sandbox="stand-in", only=("deadlines",),
        hold=lambda _: held.append(stage.up),
    )  # fmt: skip
    grade(request, Silent())
    assert held == [True]
    assert not stage.up


def test_nothing_is_left_of_a_run(stage: Stage, request_: GradeRequest, tmp_path: Path) -> None:
    grade(request_, Silent())
    assert left_behind(tmp_path) == []


# --- ready before anything starts -------------------------------------------------------------------


def test_all_is_made_ready_before_a_cluster_starts_and_kept_until_it_is_gone(
    stage: Stage, request_: GradeRequest
) -> None:
    grade(request_, Silent())
    assert stage.events == [
        "programs",
        "prepared with unix:///engine",
        "cluster",
        "acts",
        "what was prepared may go",
        "programs may go",
    ]


def test_what_cannot_be_built_is_rejected_before_any_cluster(stage: Stage, request_: GradeRequest) -> None:
    stage.unprepared = [BadSubmission("`go build` exited with code 1", file="submission.yaml", fix="mend it")]
    report = grade(request_, Silent())
    assert report.verdict is Verdict.REJECTED
    assert list(report.timing) == ["prepare", "total"]
    assert stage.provisioned == 0


def test_what_cannot_be_fetched_gets_one_more_try(stage: Stage, request_: GradeRequest) -> None:
    stage.unprepared = [InfraFault("the proxy of Go modules does not answer")]
    assert grade(request_, Silent()).verdict is Verdict.GRADED
    assert stage.provisioned == 1


# --- the machine's fault ---------------------------------------------------------------------------


def test_a_fault_of_the_machine_gets_one_more_try_on_a_fresh_cluster(
    stage: Stage, request_: GradeRequest
) -> None:
    stage.acts = [fails(InfraFault("etcd ended", fix="look at the disk")), replay()]
    progress = Silent()
    report = grade(request_, progress)
    assert report.verdict is Verdict.GRADED
    assert stage.provisioned == 2
    assert any(
        "etcd ended" in said and "trying once more on a fresh cluster" in said for said in progress.said
    )


def test_a_fault_of_the_machine_twice_is_not_graded_and_never_a_zero(
    stage: Stage, request_: GradeRequest
) -> None:
    stage.acts = [fails(InfraFault("etcd ended", fix="look at the disk"))]
    report = grade(request_, Silent())
    assert (report.verdict, report.score) == (Verdict.UNGRADED, None)
    assert report.problem == "etcd ended\n  fix: look at the disk"
    assert stage.provisioned == 2


def test_a_cluster_that_does_not_come_up_is_not_graded(stage: Stage, request_: GradeRequest) -> None:
    stage.trouble = InfraFault("kube-apiserver did not answer within 60 s")
    report = grade(request_, Silent())
    assert report.verdict is Verdict.UNGRADED
    assert "kube-apiserver did not answer" in report.problem
    assert stage.provisioned == 2


def test_a_track_that_failed_is_tried_again(stage: Stage, request_: GradeRequest) -> None:
    def failed(recording: Recording) -> None:
        recording.manifest["tracks"]["deadline"].update(status="failed", problem="the API server hung")

    stage.acts = [replay(failed), replay()]
    assert grade(request_, Silent()).verdict is Verdict.GRADED
    stage.acts, stage.runs = [replay(failed)], []
    report = grade(request_, Silent())
    assert report.verdict is Verdict.UNGRADED
    assert report.problem == "the harness could not record what these checks need: deadlines"
    assert report.score is not None
    assert report.score.total is None


def test_a_sandbox_that_cannot_work_here_is_not_graded(stage: Stage, request_: GradeRequest) -> None:
    stage.problem = "bubblewrap is not installed"
    report = grade(request_, Silent())
    assert (report.verdict, report.problem) == (Verdict.UNGRADED, "bubblewrap is not installed")
    assert stage.provisioned == 0


def test_a_failed_run_leaves_no_bundle_of_an_earlier_one(stage: Stage, request_: GradeRequest) -> None:
    grade(request_, Silent())
    stage.acts = [fails(InfraFault("etcd ended"))]
    grade(request_, Silent())
    assert not (request_.out / "bundle" / "manifest.json").exists()
    assert (request_.out / "earlier" / "bundle" / "manifest.json").is_file()


def test_while_one_is_graded_the_record_before_is_whole(stage: Stage, request_: GradeRequest) -> None:
    grade(request_, Silent())
    before = (request_.out / "bundle" / "manifest.json").read_bytes()
    there: list[bytes] = []

    def act(run: Run) -> Recorded:
        there.append((request_.out / "bundle" / "manifest.json").read_bytes())
        return replay()(run)

    stage.acts = [act]
    grade(request_, Silent())
    assert there == [before]
    assert Bundle(request_.out / "bundle").manifest.block["language"] == "python"


def test_a_folder_that_holds_what_is_not_ours_is_refused_before_anything_is_read(
    stage: Stage, lab: Lab, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "bundle" / "manifests").mkdir(parents=True)
    (mine / "bundle" / "manifests" / "mltj.clusterserviceversion.yaml").write_text("kind: x")
    request = GradeRequest(lab, mine, mine, provider="stand-in", sandbox="stand-in")
    with pytest.raises(UsageError, match=r"holds what kubeproof did not write \(bundle\)"):
        grade(request, Silent())
    assert [path.name for path in mine.rglob("*")] == [
        "bundle", "manifests", "mltj.clusterserviceversion.yaml"
    ]  # fmt: skip


def test_a_submission_is_the_same_whatever_was_written_into_its_folder(
    stage: Stage, lab: Lab, tmp_path: Path
) -> None:
    root = shutil.copytree(STARTER, tmp_path / "mine")
    request = GradeRequest(
        lab, root, root / "out" / "lab1", provider="stand-in", sandbox="stand-in", only=("deadlines",)
    )
    first, progress = grade(request, Silent()), Silent()
    second = grade(request, progress)
    assert first.submission["digest"] == second.submission["digest"]
    assert any(said == 'no part of the submission: "out/lab1"' for said in progress.said)


def test_what_was_rejected_or_not_graded_sets_the_last_graded_record_aside(
    stage: Stage, request_: GradeRequest
) -> None:
    grade(request_, Silent())
    before = (request_.out / "bundle" / "manifest.json").read_bytes()
    for trouble in (BadSubmission("x", file="x"), InfraFault("etcd ended"), KeyError("uid")):
        stage.acts = [fails(trouble)]
        grade(request_, Silent())
        assert (request_.out / "earlier" / "bundle" / "manifest.json").read_bytes() == before
        assert not (request_.out / "bundle" / "manifest.json").exists()


def test_a_request_that_cannot_be_meant_leaves_the_bundle_of_an_earlier_one(
    stage: Stage, request_: GradeRequest
) -> None:
    grade(request_, Silent())
    before = (request_.out / "bundle" / "manifest.json").read_bytes()
    stage.trouble = UsageError("there is no kubeconfig", fix="name one")
    with pytest.raises(UsageError):
        grade(request_, Silent())
    assert (request_.out / "bundle" / "manifest.json").read_bytes() == before
    assert {path.name for path in request_.out.iterdir()} == {"bundle", MARKER}


# --- the learner's fault ---------------------------------------------------------------------------


def test_what_the_cluster_refuses_is_rejected_without_a_second_try(
    stage: Stage, request_: GradeRequest
) -> None:
    refused = BadSubmission("the API server refused it", file="deploy/crd.yaml", line=3, fix="mend it")
    stage.acts = [fails(refused)]
    report = grade(request_, Silent())
    assert report.verdict is Verdict.REJECTED
    assert report.problem == "deploy/crd.yaml:3: the API server refused it\n  fix: mend it"
    assert stage.provisioned == 1


def test_what_cannot_be_read_is_rejected_before_any_cluster(stage: Stage, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    request = GradeRequest(lab, tmp_path / "empty", tmp_path / "out", provider="stand-in", sandbox="stand-in")
    report = grade(request, Silent())
    assert report.verdict is Verdict.REJECTED
    assert "submission.yaml" in report.problem
    assert "fix:" in report.problem
    assert stage.provisioned == 0
    assert left_behind(tmp_path) == []


# --- our own fault ---------------------------------------------------------------------------------


def test_a_bug_in_a_scenario_is_not_graded_and_not_tried_again(stage: Stage, request_: GradeRequest) -> None:
    stage.acts = [fails(KeyError("uid"))]
    report = grade(request_, Silent())
    assert (report.verdict, report.problem) == (Verdict.UNGRADED, "grader: KeyError('uid')")
    (outcome,) = report.outcomes
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.GRADER)
    assert "Traceback" in outcome.detail
    assert stage.provisioned == 1


def test_a_bug_in_a_track_is_not_graded_and_not_tried_again(stage: Stage, request_: GradeRequest) -> None:
    def broken(recording: Recording) -> None:
        recording.manifest["tracks"]["deadline"].update(status="broken", problem="Traceback: KeyError")

    stage.acts = [replay(broken)]
    report = grade(request_, Silent())
    assert report.verdict is Verdict.UNGRADED
    assert report.problem == "grader: a bug of kubeproof kept it from judging deadlines"
    assert stage.provisioned == 1


def test_trouble_leaves_nothing_behind(stage: Stage, request_: GradeRequest, tmp_path: Path) -> None:
    for error in (InfraFault("x"), KeyError("x"), BadSubmission("x")):
        stage.acts = [fails(error)]
        grade(request_, Silent())
        assert left_behind(tmp_path) == []
        assert not stage.up


# --- neither ---------------------------------------------------------------------------------------


def test_ctrl_c_is_no_result(stage: Stage, request_: GradeRequest, tmp_path: Path) -> None:
    def interrupted(_: Run) -> Recorded:
        raise KeyboardInterrupt

    stage.acts = [interrupted]
    with pytest.raises(KeyboardInterrupt):
        grade(request_, Silent())
    assert not stage.up
    assert left_behind(tmp_path) == []


def test_a_course_that_contradicts_itself_is_the_author_s_to_hear(
    stage: Stage, request_: GradeRequest
) -> None:
    stage.acts = [fails(CourseError("two checks of one name", file="rubrics/lab1.yaml"))]
    with pytest.raises(CourseError, match="two checks of one name"):
        grade(request_, Silent())


def test_an_unknown_provider_is_the_caller_s_to_hear(stage: Stage, lab: Lab, tmp_path: Path) -> None:
    request = GradeRequest(lab, STARTER, tmp_path / "out", provider="minikube", sandbox="stand-in")
    with pytest.raises(
        UsageError, match=r"there is no cluster provider 'minikube'\n  fix: use one of embedded"
    ):
        grade(request, Silent())


# --- judging a bundle ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["audit.jsonl", "objects.jsonl", "marks.jsonl", "disturbances.jsonl"])
def test_a_record_that_is_lost_is_never_a_point_won_or_lost(stream: str, lab: Lab, tmp_path: Path) -> None:
    folder = reference().store(tmp_path / "bundle").folder
    (folder / stream).write_text("")
    with pytest.raises(InfraFault, match=f"the record is not whole: {stream} has 0 of"):
        judge_bundle(lab, folder)


def test_an_audit_log_that_nobody_wrote_to_is_the_harness_s_fault(lab: Lab, tmp_path: Path) -> None:
    recording = reference()
    recording.audit.clear()
    with pytest.raises(InfraFault, match="audit log is empty"):
        judge_bundle(lab, recording.store(tmp_path / "bundle").folder)


def test_a_bundle_is_judged_with_no_cluster(lab: Lab, tmp_path: Path) -> None:
    report = judge_bundle(lab, reference().store(tmp_path / "bundle").folder)
    assert report.verdict is Verdict.GRADED
    assert report.score is not None
    assert report.score.percent == Decimal(100)


def test_a_check_that_was_not_recorded_cannot_be_judged(lab: Lab, tmp_path: Path) -> None:
    recording = reference()
    del recording.manifest["tracks"]["ttl"]
    bundle = recording.store(tmp_path / "bundle")
    with pytest.raises(UsageError, match=r"no record to judge 'deadlines' by: track ttl was not run"):
        judge_bundle(lab, bundle.folder, only=("deadlines",))


def test_results_of_tracks_come_back_from_the_manifest(tmp_path: Path) -> None:
    bundle = Bundle(reference().store(tmp_path / "bundle").folder)
    assert isinstance(bundle.manifest.tracks["retries"], TrackResult)
    assert json.loads((bundle.folder / "manifest.json").read_text())["schema"] == "kubeproof/bundle/v2"
