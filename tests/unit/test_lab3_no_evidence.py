"""A check that has nothing to look at, or is shown something else, does not pass: what each is told then."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.judging import collect_checks
from graders.judging.run import outcome_of
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import LEDGER_SALT
from graders.model import Outcome, Status
from graders.recovery.records import LedgerWrite
from graders.recovery.seals import run_key, seal, written
from tests.unit.lab3_recording import Record, Recording, reference

CP, NS, WL = "control-plane", "namespace", "workload"


@dataclass(frozen=True)
class Blank:
    """A change that takes evidence away from `check`; `says` is what the learner reads then."""

    check: str
    name: str
    mutate: Callable[[Recording], None]
    says: str


def file_of(recording: Recording, path: str) -> Record:
    (found,) = (each for each in recording.parts["handedin"] if each["path"] == path)
    return found


def claims_nothing(recording: Recording) -> None:
    report = file_of(recording, "report.md")
    report["text"], changed = re.subn(
        r"(?ms)^recoveries:\n.*?(?=^findings:)", "recoveries: []\n", report["text"]
    )
    assert changed


def claims(old: str, new: str) -> Callable[[Recording], None]:
    def mutate(recording: Recording) -> None:
        report = file_of(recording, "report.md")
        assert old in report["text"]
        report["text"] = report["text"].replace(old, new, 1)

    return mutate


def evidence_without(scenario: str, probe: str) -> Callable[[Recording], None]:
    """The probe that was the last to come back is left out of the evidence."""

    def mutate(recording: Recording) -> None:
        file = file_of(recording, f"evidence/{scenario}.json")
        told = json.loads(file["text"])
        del told["probes"][probe]
        file["text"] = json.dumps(told)

    return mutate


def never_drilled(track: str, scenario: str) -> Callable[[Recording], None]:
    def mutate(recording: Recording) -> None:
        drills = recording.parts["drills"]
        for each in [d for d in drills if (d["cluster"], d["scenario"]) == (track, scenario)]:
            drills.remove(each)

    return mutate


def gives_up(track: str, purpose: str) -> Callable[[Recording], None]:
    def mutate(recording: Recording) -> None:
        for each in recording.parts["scriptruns"]:
            if (each["cluster"], each["script"], each["purpose"]) == (track, "restore", purpose):
                each.update(code=1, how="exited with code 1", t_end=each["t"] + 0.5)

    return mutate


def nobody_looked(track: str, *whens: str) -> Callable[[Recording], None]:
    def mutate(recording: Recording) -> None:
        looks = recording.parts["ledgerlooks"]
        for each in [
            look for look in looks if (look["cluster"], look["when"]) in [(track, w) for w in whens]
        ]:
            looks.remove(each)

    return mutate


def lost_early_ones(track: str, when: str) -> Callable[[Recording], None]:
    """What came back is a state from long before the fault."""

    def mutate(recording: Recording) -> None:
        (look,) = (
            each
            for each in recording.parts["ledgerlooks"]
            if (each["cluster"], each["when"]) == (track, when)
        )
        found = recording.parts["restoredrecords"]
        for each in [
            each
            for each in found
            if (each["cluster"], each["ledger"], each["t"]) == (track, look["ledger"], look["t"])
            and int(each["seq"]) > 5
        ]:
            found.remove(each)

    return mutate


def run_of(recording: Recording, purpose: str, experiment: str) -> Record:
    (found,) = (
        each
        for each in recording.parts["experimentruns"]
        if (each["purpose"], each["experiment"]) == (purpose, experiment)
    )
    return found


def requests_in(recording: Recording, run: Record) -> list[Record]:
    return [
        each
        for each in recording.parts["audit"]
        if ":chaos:" in each["user"] and run["t"] <= each["t"] <= run["t_end"]
    ]


def ends_of_pods_come_later(recording: Recording) -> None:
    """What is killed is there for long after the experiment, and goes for another reason."""
    run = run_of(recording, "whole", "pod-kill")
    for each in recording.parts["objects"]:
        going = each["type"] == "DELETED" or "deletionTimestamp" in each["object"]["metadata"]
        if each["cluster"] == "experiments" and each["resource"] == "pods" and going and each["t"] > run["t"]:
            each["t"] += run["t_end"] - run["t"] + 5.0
    recording.parts["objects"].sort(key=lambda each: float(each["t"]))


def pods_are_only_updated(recording: Recording) -> None:
    for each in requests_in(recording, run_of(recording, "whole", "pod-kill")):
        each["verb"] = each["verb"].replace("delete", "update")


def acts_once_alone(recording: Recording) -> None:
    run = run_of(recording, "aborted", "cordon")
    for each in requests_in(recording, run):
        recording.parts["audit"].remove(each)
    run["aborted"] = None


def of_git(recording: Recording) -> None:
    """An object of workload/ came back as its file has it, and had been changed in the cluster since."""
    looks = recording.parts["objectslooks"]
    before = next(each for each in looks if (each["cluster"], each["when"]) == (NS, "before"))
    path = next(each for each in before["digests"] if "/configmaps/" in each)
    t = float(looks[-1]["t"])
    changed = {**before["digests"], path: "changed in the cluster"}
    looks[:] = [each for each in looks if each["when"] not in ("backed-up", "supplied")]
    looks += [
        {**before, "t": t, "when": "backed-up", "digests": changed},
        {**before, "t": t, "when": "supplied"},
    ]


def nothing_could_be_changed(recording: Recording) -> None:
    """All that workload/ has is immutable: what comes back may be of Git as well."""
    looks = recording.parts["objectslooks"]
    before = next(each for each in looks if (each["cluster"], each["when"]) == (NS, "before"))
    for each in looks:
        if each["cluster"] == NS and each["when"] in ("backed-up", "supplied"):
            each |= {**before, "t": each["t"], "when": each["when"]}


def deleted_ones_are_back(recording: Recording) -> None:
    """A record that had been deleted before the backup was made is there."""
    (look,) = (
        each for each in recording.parts["ledgerlooks"] if (each["cluster"], each["when"]) == (CP, "supplied")
    )
    writes = [
        each
        for each in recording.parts["ledgerwrites"]
        if (each["cluster"], each["ledger"], each["kind"]) == (CP, look["ledger"], "ConfigMap")
    ]
    gone = min(
        (each for each in writes if each["verb"] == "delete" and each["t_end"]), key=lambda each: each["seq"]
    )
    made = next(each for each in writes if (each["verb"], each["name"]) == ("create", gone["name"]))
    found = recording.parts["restoredrecords"]
    key = next(each for each in recording.parts["ledgerkeys"] if each["cluster"] == CP)
    write = LedgerWrite(**made)
    sealed = seal(run_key(LEDGER_SALT, bytes.fromhex(key["secret"]), key["run_id"], look["ledger"]), write)
    like = next(each for each in found if (each["t"], each["kind"]) == (look["t"], "ConfigMap"))
    found.append(
        {**like, "name": made["name"], "seq": str(made["seq"]), "written": written(write), "seal": sealed}
        | {"owner": ""}
    )


def never_ends(purpose: str) -> Callable[[Recording], None]:
    def mutate(recording: Recording) -> None:
        (run,) = (
            each
            for each in recording.parts["scriptruns"]
            if (each["cluster"], each["script"], each["purpose"]) == (CP, "restore", purpose)
        )
        run.update(code=None, how="was stopped after 75.0 s")

    return mutate


def mitigation(**data: object) -> Callable[[Recording], None]:
    def mutate(recording: Recording) -> None:
        for mark in recording.parts["marks"]:
            if (mark["track"], mark["name"]) == (WL, "mitigation"):
                mark["data"].update(data)

    return mutate


BLANKS = (
    Blank("backup-causality", "of Git", of_git, "was changed in the cluster before the backup was made"),
    Blank(
        "backup-causality", "nothing to change", nothing_could_be_changed, "nothing shows where it comes from"
    ),
    Blank("backup-causality", "a deleted one is back", deleted_ones_are_back, "resurrected"),
    Blank("bad-backup", "it waits for a better one", never_ends("bad-cut"), "it has to end by itself"),
    Blank(
        "bad-backup", "it waits for the newest", never_ends("bad-newest-forged"), "it has to end by itself"
    ),
    Blank("mitigation", "no number is expected", mitigation(to="nan"), "which is no number of seconds"),
    Blank("mitigation", "all is expected", mitigation(to="inf"), "which is no number of seconds"),
    Blank(
        "mitigation",
        "another thing runs",
        mitigation(others=["mitigations/tolerations/after/predictor.json:1"]),
        "predictor.json:1 is not what workload/ has",
    ),
    Blank("injects", "pods end long afterwards", ends_of_pods_come_later, "nothing in its scope was changed"),
    Blank("injects", "pods are updated", pods_are_only_updated, "none kills pods"),
    Blank("abort", "it acts once alone", acts_once_alone, "when it was to be aborted it changed nothing"),
    Blank("claims", "no recovery is claimed", claims_nothing, "nothing of a recovery from pod-kill"),
    Blank(
        "claims",
        "the slowest probe is left out",
        evidence_without("control-plane-loss", "canary"),
        "has no probe canary",
    ),
    Blank(
        "claims",
        "slots are said to be closer",
        claims("probe_interval_s: 0.5", "probe_interval_s: 0.1"),
        "probe_interval_s",
    ),
    Blank("claims", "it never came to a loss", never_drilled(CP, "control-plane-loss"), "is said to be met"),
    Blank("claims", "restore gave up at once", gives_up(NS, "late"), "was not recovered"),
    Blank("claims", "more was lost", lost_early_ones(WL, "controller-loss: settled"), "of writes are lost"),
    Blank(
        "control-plane-rpo",
        "nobody looked in the end",
        nobody_looked(CP, "late: settled"),
        "nobody answered for its records",
    ),
    Blank(
        "controller-loss",
        "nobody looked",
        nobody_looked(WL, "controller-loss: restored", "controller-loss: settled"),
        "nobody answered for the records",
    ),
    Blank(
        "unseen-safe",
        "nobody looked",
        nobody_looked(WL, "stopped: restored", "stopped: settled"),
        "nobody answered for the records",
    ),
    Blank("unseen-safe", "restore gave up, and nobody looked", gives_up(WL, "stopped"), "nobody answered"),
)


def judged(check: str, recording: Recording, folder: Path) -> Outcome:
    (info,) = (info for info in collect_checks("lab3") if info.id == check)
    return outcome_of(info, recording.held(folder / "bundle"))


@pytest.mark.parametrize("blank", BLANKS, ids=[f"{each.check}: {each.name}" for each in BLANKS])
def test_without_evidence_nothing_is_earned(blank: Blank, tmp_path: Path) -> None:
    recording = reference()
    blank.mutate(recording)
    outcome = judged(blank.check, recording, tmp_path)
    assert outcome.status is Status.FAILED, outcome.detail
    assert blank.says in outcome.observed
    assert outcome.hint


@pytest.mark.parametrize(
    ("user", "counts"),
    [
        ("kubeproof:dr", True),
        ("system:serviceaccount:default:dr-helper", True),
        ("system:serviceaccount:kube-system:namespace-controller", False),
        ("kubeproof-grader", False),
    ],
)
def test_what_accounts_of_a_runbook_do_it_does(user: str, counts: bool, tmp_path: Path) -> None:
    recording = reference()
    (run,) = (
        each
        for each in recording.parts["scriptruns"]
        if (each["cluster"], each["script"], each["purpose"]) == (NS, "restore", "late")
    )
    like = next(each for each in recording.parts["audit"] if each["cluster"] == NS)
    event = {**like, "user": user, "verb": "patch", "code": 200, "t": run["t_end"] - 0.2}
    event |= {"t_end": run["t_end"] - 0.1, "resource": "configmaps", "namespace": "serving", "name": "theirs"}
    recording.parts["audit"].append(event)
    record = LaneRecord(recording.held(tmp_path / "bundle"), NS)
    (drill,) = (each for each in record.drills("namespace-deleted") if each.phase == "late")
    assert ("patch configmaps theirs" in [act.what for act in record.acts_of(drill)]) is counts


def starves(recording: Recording) -> None:
    """The processor's control is late in all of its slots."""
    for each in recording.parts["starvation"]:
        each["t_end"] += 1.0


@pytest.mark.parametrize("check", ["namespace-rpo", "backup-causality", "resumable", "namespace-neighbours"])
def test_a_machine_that_is_too_busy_costs_nothing_that_it_kept_from_coming(
    check: str, tmp_path: Path
) -> None:
    recording = reference()
    drills = recording.parts["drills"]
    for each in [d for d in drills if d["cluster"] == NS and d["phase"] != "random-phase"]:
        drills.remove(each)
    gives_up(NS, "random-phase")(recording)
    nobody_looked(NS, "random-phase: restored", "random-phase: settled")(recording)
    marks = recording.parts["marks"]
    for each in [mark for mark in marks if mark["track"] == NS and mark["name"] in ("given", "resumed")]:
        marks.remove(each)
    assert judged(check, recording, tmp_path / "well").status is Status.FAILED
    starves(recording)
    outcome = judged(check, recording, tmp_path / "busy")
    assert outcome.status is Status.ERROR
    assert outcome.fault is not None
    assert "the processor was starved" in outcome.detail


@pytest.mark.parametrize(
    ("check", "track", "name", "said"),
    [
        ("watches", CP, "client", {"deployment_s": None}),
        ("watches", CP, "client", {"watch": "silent"}),
        ("watches", CP, "client", {"problem": "no answer"}),
        ("resumable", NS, "resumed", {"stable": False}),
        ("resumable", NS, "resumed", {"code": 1, "how": "exited with code 1"}),
    ],
)
def test_what_is_late_on_a_machine_that_is_too_busy_costs_nothing(
    check: str, track: str, name: str, said: dict[str, object], tmp_path: Path
) -> None:
    recording = reference()
    marks = recording.parts["marks"]
    (mark,) = (each for each in marks if (each["track"], each["name"]) == (track, name))
    mark["data"].update(said)
    assert judged(check, recording, tmp_path / "well").status is Status.FAILED
    starves(recording)
    outcome = judged(check, recording, tmp_path / "busy")
    assert outcome.status is Status.ERROR
    assert "the processor was starved" in outcome.detail


def test_of_a_drill_that_was_done_again_its_client_counts(tmp_path: Path) -> None:
    recording = reference()
    marks = recording.parts["marks"]
    (mark,) = (each for each in marks if (each["track"], each["name"]) == (CP, "client"))
    marks.append({**mark, "t": mark["t"] - 100.0, "data": {**mark["data"], "deployment_s": None}})
    marks.sort(key=lambda each: each["t"])
    assert judged("watches", recording, tmp_path / "bundle").status is Status.PASSED


def test_experiments_are_told_of_in_the_order_of_the_hand_in(tmp_path: Path) -> None:
    recording = reference()
    file = next(each for each in recording.parts["handedin"] if each["path"] == "report.md")
    file["text"] = file["text"].replace("outcome: upheld", "outcome: void")
    observed = judged("report", recording, tmp_path / "bundle").observed
    assert observed.index("experiment pod-kill") < observed.index("experiment cordon")
