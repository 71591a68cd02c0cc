"""What a flaw in the record must cost: exactly its check, in words a learner can use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import DR_USER
from graders.model import Outcome, Status
from tests.unit import flaws
from tests.unit.flaws import assert_costs_exactly, checks_of, every, judged_alone
from tests.unit.lab3_recording import ARCHIVE, Record, Recording, reference

LAB = "lab3"
CHAOS = "system:serviceaccount:chaos:chaos-runner"


CP, NS, WL = "control-plane", "namespace", "workload"
Flaw = flaws.Flaw[Recording]


def run_of(recording: Recording, cluster: str, script: str, purpose: str) -> Record:
    (found,) = (
        each
        for each in recording.parts["scriptruns"]
        if (each["cluster"], each["script"], each["purpose"]) == (cluster, script, purpose)
    )
    return found


def ends_with(cluster: str, script: str, purpose: str, code: int) -> Callable[[Recording], None]:
    """That start of a script ended with another code."""

    def mutate(recording: Recording) -> None:
        run_of(recording, cluster, script, purpose).update(code=code, how=f"exited with code {code}")

    return mutate


def looked(recording: Recording, cluster: str, when: str) -> Iterator[Record]:
    """The records that were found at a look, the oldest first."""
    (look,) = (
        each for each in recording.parts["ledgerlooks"] if (each["cluster"], each["when"]) == (cluster, when)
    )
    found = [
        each
        for each in recording.parts["restoredrecords"]
        if (each["cluster"], each["ledger"], each["t"]) == (cluster, look["ledger"], look["t"])
    ]
    yield from sorted(found, key=lambda each: (each["kind"], int(each["seq"])))


def hole(cluster: str, when: str) -> Callable[[Recording], None]:
    """An old record is missing at a look."""

    def mutate(recording: Recording) -> None:
        recording.parts["restoredrecords"].remove(next(looked(recording, cluster, when)))

    return mutate


def nothing_there(cluster: str, when: str) -> Callable[[Recording], None]:
    """Of one kind all records are missing at a look."""

    def mutate(recording: Recording) -> None:
        for each in list(looked(recording, cluster, when)):
            if each["kind"] == "ConfigMap":
                recording.parts["restoredrecords"].remove(each)

    return mutate


def forged(cluster: str, when: str) -> Callable[[Recording], None]:
    """A record at a look has another seal."""

    def mutate(recording: Recording) -> None:
        next(looked(recording, cluster, when)).update(seal="0" * 64)

    return mutate


def marked(track: str, name: str, **data: object) -> Callable[[Recording], None]:
    """The first such mark says something else."""

    def mutate(recording: Recording) -> None:
        mark = next(
            each for each in recording.parts["marks"] if (each["track"], each["name"]) == (track, name)
        )
        mark["data"].update(data)

    return mutate


def requested(
    cluster: str, user: str, at: Callable[[Recording], float], **more: object
) -> Callable[[Recording], None]:
    """There is one more request."""

    def mutate(recording: Recording) -> None:
        event = {
            "id": "added", "user": user, "verb": "delete", "group": "", "resource": "configmaps",
            "subresource": "", "namespace": "tenant-b", "name": "theirs", "code": 200, "cluster": cluster,
        }  # fmt: skip
        t = at(recording)
        recording.parts["audit"].append({**event, **more, "t": t, "t_end": t + 0.01})

    return mutate


def within(purpose: str) -> Callable[[Recording], float]:
    """A moment in a run of an experiment."""

    def moment(recording: Recording) -> float:
        run = next(each for each in recording.parts["experimentruns"] if each["purpose"] == purpose)
        return float(run["t"] + run["t_end"]) / 2

    return moment


def while_restoring(recording: Recording) -> float:
    return float(run_of(recording, "namespace", "restore", "late")["t"]) + 0.5


def holds_at_zero(recording: Recording) -> None:
    run = next(each for each in recording.parts["experimentruns"] if each["purpose"] == "hypothesis-at-zero")
    run["journal"] = '{"steady_states": {"before": {"steady_state_met": true}}}'


def left_behind(recording: Recording) -> None:
    look = next(each for each in recording.parts["baselinelooks"] if each["when"] == "aborted")
    look["digests"][next(iter(look["digests"]))] = "another"


def text_of(path: str, old: str, new: str) -> Callable[[Recording], None]:
    """A file of the hand-in says something else."""

    def mutate(recording: Recording) -> None:
        file = next(each for each in recording.parts["handedin"] if each["path"] == path)
        assert old in file["text"]
        file["text"] = file["text"].replace(old, new)

    return mutate


def nothing_lost(recording: Recording) -> None:
    file = next(each for each in recording.parts["handedin"] if each["path"] == "report.md")
    file["text"], changed = re.subn(r"records_lost: [1-9]\d*", "records_lost: 0", file["text"])
    assert changed


def a_backup_fails(recording: Recording) -> None:
    runs = recording.parts["scriptruns"]
    run = next(each for each in runs if (each["cluster"], each["script"]) == (CP, "backup"))
    run.update(code=1, how="exited with code 1")


def a_slow_backup(recording: Recording) -> None:
    runs = recording.parts["scriptruns"]
    run = next(each for each in runs if (each["cluster"], each["script"]) == (CP, "backup"))
    run["t"] = run["t_end"] - 12.0


def while_(cluster: str, script: str) -> Callable[[Recording], float]:
    """A moment of a start of a script while no other one runs, and none is due."""

    def moment(recording: Recording) -> float:
        runs = [each for each in recording.parts["scriptruns"] if each["cluster"] == cluster]
        drills = [each for each in recording.parts["drills"] if each["cluster"] == cluster]
        return next(
            float(each["t"] + each["t_end"]) / 2
            for each in runs
            if each["script"] == script
            and not any(o is not each and o["t"] <= each["t_end"] and o["t_end"] >= each["t"] for o in runs)
            and not any(d["t"] - 1.0 <= each["t_end"] and d["t_end"] + 1.0 >= each["t"] for d in drills)
        )

    return moment


def tried_on_a_config_map(code: int) -> Callable[[Recording], None]:
    """Verify was tried where a ConfigMap was changed."""

    def mutate(recording: Recording) -> None:
        run = run_of(recording, CP, "verify", "secret-changed")
        told = {"purpose": "config-changed", "code": code, "how": f"exited with code {code}"}
        runs = recording.parts["scriptruns"]
        runs[:] = [each for each in runs if each["purpose"] != "config-changed"]
        runs.append({**run, **told})

    return mutate


def says_nothing(recording: Recording) -> None:
    run = next(each for each in recording.parts["experimentruns"] if each["purpose"] == "hypothesis-healthy")
    run["journal"] = '{"steady_states": {"before": null}}'


def gives_up_on(phase: str) -> Callable[[Recording], None]:
    """Nobody said what happened, and restore did not find it out: the ledger is looked at afterwards."""

    def mutate(recording: Recording) -> None:
        ends_with(WL, "restore", phase, 1)(recording)
        for look in recording.parts["ledgerlooks"]:
            if (look["cluster"], look["when"]) == (WL, f"{phase}: settled"):
                look["when"] = f"{phase}: left"

    return mutate


def never_pauses(recording: Recording) -> None:
    run = next(each for each in recording.parts["experimentruns"] if each["purpose"] == "aborted")
    run["aborted"] = None


def nothing_below(heading: str) -> Callable[[Recording], None]:
    """The report has nothing below a heading."""

    def mutate(recording: Recording) -> None:
        file = next(each for each in recording.parts["handedin"] if each["path"] == "report.md")
        file["text"], changed = re.subn(
            rf"(?ms)^## {heading}\n.*?(?=^## |\Z)", f"## {heading}\n\n", file["text"]
        )
        assert changed

    return mutate


def nothing_to_break(purpose: str) -> Callable[[Recording], None]:
    """The workload has no object of the kind that verify is tried with."""

    def mutate(recording: Recording) -> None:
        runs = recording.parts["scriptruns"]
        runs.remove(run_of(recording, CP, "verify", purpose))
        data = {"purpose": purpose}
        recording.parts["marks"].append({"t": 240.0, "track": CP, "name": "nothing-to-break", "data": data})

    return mutate


def fails_on(phase: str) -> Callable[[Recording], None]:
    """The Service has no addresses again, long after a restore that nobody gave a name ended with 0."""

    def mutate(recording: Recording) -> None:
        run = run_of(recording, WL, "restore", phase)
        run.update(t_end=run["t"] + 0.2)
        since = float(run["t_end"]) + 10.0
        drill = next(
            each for each in recording.parts["drills"] if (each["cluster"], each["phase"]) == (WL, phase)
        )
        late = [
            each
            for each in recording.parts["probes"]
            if (each["cluster"], each["probe"]) == (WL, "serving") and since < each["t"] <= drill["watched"]
        ]
        assert late
        for each in late:
            each.update(ok=False, error="0 ready addresses")

    return mutate


NOTE = {"verb": "patch", "namespace": "serving", "name": "predictor-config"}
CLAIMED = frozenset({"claims"})
"""Who says that a target was met claims too much where it is not met here."""
FLAWS = (
    Flaw(
        "control-plane-rto",
        "restore gives up",
        ends_with(CP, "restore", "late", 1),
        "exited with code 1",
        CLAIMED,
    ),
    Flaw("control-plane-rpo", "a record is missing", hole(CP, "late: settled"), "hole"),
    Flaw("control-plane-rpo", "a record is forged", forged(CP, "random-phase: settled"), "corrupted"),
    Flaw("watches", "a watch stays silent", marked(CP, "client", watch="silent"), "silent"),
    Flaw("watches", "the list is older", marked(CP, "client", after=1), "revision 1"),
    Flaw("watches", "garbage stays", marked(CP, "client", garbage_s=None), "never"),
    Flaw("backups", "one fails", a_backup_fails, "exited with code 1"),
    Flaw("backups", "one takes twelve seconds", a_slow_backup, "a backup took 12"),
    Flaw("backups", "one writes", requested(CP, DR_USER, while_(CP, "backup"), **NOTE), "a backup did patch"),
    Flaw("verify", "it writes", requested(CP, DR_USER, while_(CP, "verify"), **NOTE), "it did patch"),
    Flaw("verify", "no of what is created again", ends_with(NS, "verify", "late", 1), "whole again"),
    Flaw("verify", "yes of another ConfigMap", tried_on_a_config_map(0), "a ConfigMap's data were changed"),
    Flaw("verify", "yes without a Model", ends_with(CP, "verify", "model-gone", 0), "a Model of workload/"),
    Flaw("verify", "no Model in workload/", nothing_to_break("model-gone"), "nothing to try it with"),
    Flaw("verify", "no Secret in workload/", nothing_to_break("secret-changed"), "nothing to try it with"),
    Flaw("verify", "no after a recovery", ends_with(CP, "verify", "random-phase", 1), "after the recovery"),
    Flaw("idempotent", "a record is missing", hole(CP, "again"), "records wrong"),
    Flaw("backup-causality", "nothing is there", nothing_there(CP, "supplied"), "another state"),
    Flaw("resumable", "probes fail on", marked(NS, "resumed", stable=False), "probes failed on"),
    Flaw("resumable", "it gives up", marked(CP, "resumed", code=1, how="exited with 1"), "started again"),
    Flaw("bad-backup", "half a backup is taken", ends_with(CP, "restore", "bad-cut", 0), "in the middle"),
    Flaw("bad-backup", "a forged one is taken", ends_with(CP, "restore", "bad-forged", 0), "changed after"),
    Flaw(
        "namespace-rto",
        "restore gives up",
        ends_with(NS, "restore", "late", 1),
        "exited with code 1",
        CLAIMED,
    ),
    Flaw("namespace-rpo", "a record is missing", hole(NS, "late: settled"), "hole"),
    Flaw("namespace-neighbours", "they lose a record", hole(NS, "late: neighbour"), "tenant-b are lost"),
    Flaw(
        "namespace-neighbours",
        "the runbook deletes something of theirs",
        requested(NS, DR_USER, while_restoring),
        "delete configmaps theirs in tenant-b",
    ),
    Flaw("eviction", "none is granted", marked(WL, "evictions", codes=[429, 429]), "none was granted"),
    Flaw("node-loss", "never whole again", marked(WL, "zone-back", all_ready_s=None), "they were not"),
    Flaw("controller-loss", "a record is missing", hole(WL, "controller-loss: settled"), "hole"),
    Flaw("unseen-safe", "a record is missing", hole(WL, "stopped: settled"), "hole"),
    Flaw(
        "unseen-safe",
        "it claims too much",
        fails_on("stopped"),
        "probes failed over 10 s later",
        {"unseen-stopped"},
    ),
    Flaw("unseen-stopped", "restore gives up", gives_up_on("stopped"), "exited with code 1"),
    Flaw("unseen-refused", "restore gives up", gives_up_on("refused"), "exited with code 1"),
    Flaw("hypothesis", "it holds of nothing", holds_at_zero, "it holds with the Deployment at 0"),
    Flaw("hypothesis", "it has no probes", says_nothing, "its journal says nothing of a hypothesis"),
    Flaw(
        "injects",
        "RBAC says no",
        requested("experiments", CHAOS, within("whole"), code=403, verb="get"),
        "RBAC denied get configmaps",
    ),
    Flaw(
        "blast-radius",
        "something else is deleted",
        requested("experiments", CHAOS, within("whole")),
        "delete configmaps theirs is out of its scope",
    ),
    Flaw("dry", "it deletes", requested("experiments", CHAOS, within("dry")), "a dry run did delete"),
    Flaw("abort", "something stays behind", left_behind, "is not as before"),
    Flaw("abort", "it never pauses", never_pauses, "it did not pause after its first change"),
    Flaw("mitigation", "more was expected", marked(WL, "mitigation", to="3"), "expects 3 s, and it took"),
    Flaw("report", "a heading is missing", text_of("report.md", "## Lessons", "## Learnt"), "'Lessons'"),
    Flaw("report", "nothing below a heading", nothing_below("Detection"), "nothing stands below 'Detection'"),
    Flaw(
        "report",
        "a deviation without a finding",
        text_of("report.md", "outcome: upheld", "outcome: deviated"),
        "no finding has it as its source",
    ),
    Flaw("claims", "nothing is said to be lost", nothing_lost, "records_lost is said to be 0, and it is "),
    Flaw(
        "claims",
        "another backup",
        text_of("report.md", 'backup_id: "6080d5937fd50a3d"', 'backup_id: "0"'),
        "the evidence has no backup '0'",
    ),
    Flaw(
        "backlog",
        "nobody prevents it",
        text_of("backlog.yaml", "type: prevent", "type: mitigate"),
        "has no item that prevents it",
    ),
    Flaw(
        "runbook",
        "nothing on giving up",
        text_of("dr/RUNBOOK.md", "give up", "go on"),
        "does not say when to give up",
    ),
)  # fmt: skip


def outcomes_of(bundle: Bundle) -> dict[str, Outcome]:
    """What each check says by itself."""
    return judged_alone(bundle, checks_of(LAB))


@pytest.fixture(autouse=True)
def _archive() -> None:
    assert ARCHIVE.is_file(), "make it: see tests/unit/lab3_recording.py"


def test_the_reference_loses_nothing(tmp_path: Path) -> None:
    outcomes = outcomes_of(reference().held(tmp_path / "bundle"))
    lost = {
        name: f"{each.status}: {each.observed} {each.detail}"
        for name, each in outcomes.items()
        if each.status not in (Status.PASSED, Status.UNSUPPORTED)
    }
    assert lost == {}


@every(FLAWS)
def test_a_flaw_costs_exactly_its_check(flaw: Flaw, tmp_path: Path) -> None:
    recording = reference()
    flaw.mutate(recording)
    outcomes = outcomes_of(recording.held(tmp_path / "bundle"))
    assert_costs_exactly(flaw, outcomes)
    assert outcomes[flaw.check].hint


def test_objects_of_its_own_are_the_runbooks_business(tmp_path: Path) -> None:
    recording = reference()
    for verb in ("create", "delete"):
        requested(NS, DR_USER, while_restoring, verb=verb, name="dr-lock")(recording)
    outcomes = outcomes_of(recording.held(tmp_path / "bundle"))
    assert {each.status for each in outcomes.values()} <= {Status.PASSED, Status.UNSUPPORTED}
    record = LaneRecord(recording.held(tmp_path / "again"), NS)
    (drill,) = (each for each in record.drills("namespace-deleted") if each.phase == "late")
    assert not [act for act in record.acts_of(drill) if "dr-lock" in act.what]


def test_a_lane_that_the_runbook_ended_costs_what_never_came(tmp_path: Path) -> None:
    recording = reference()
    over = {"name": "over", "data": {"why": "the API server does not answer"}}
    for track, scenario, phase in ((CP, "control-plane-loss", "late"), (WL, "unknown", "refused")):
        drills = recording.parts["drills"]
        (last,) = (d for d in drills if (d["cluster"], d["scenario"], d["phase"]) == (track, scenario, phase))
        drills.remove(last)
        marks = recording.parts["marks"]
        for mark in [each for each in marks if each["track"] == track and each["t"] >= last["t"]]:
            marks.remove(mark)
        marks.append({**over, "track": track, "t": last["t"]})
    runs = recording.parts["scriptruns"]
    for run in [each for each in runs if each["purpose"].startswith("bad-")]:
        runs.remove(run)
    outcomes = outcomes_of(recording.held(tmp_path / "bundle"))
    lost = {name: each for name, each in outcomes.items() if each.status is Status.FAILED}
    assert set(lost) == {
        "control-plane-rto", "control-plane-rpo", "watches", "backup-causality", "resumable", "bad-backup",
        "unseen-safe", "unseen-refused",
    }  # fmt: skip
    assert not [each for each in outcomes.values() if each.status is Status.ERROR]
    for each in lost.values():
        assert "nothing more could be done with the cluster: the API server does not answer" in each.observed


def test_an_experiment_that_never_ends_is_told_so(tmp_path: Path) -> None:
    recording = reference()
    for run in recording.parts["experimentruns"]:
        if run["purpose"] in ("dry", "whole", "aborted"):
            run.update(journal="", code=None, how="was stopped after 90.1 s")
    outcomes = outcomes_of(recording.held(tmp_path / "bundle"))
    for name, purpose in (
        ("dry", "dry"),
        ("injects", "whole"),
        ("blast-radius", "whole"),
        ("abort", "aborted"),
    ):
        assert outcomes[name].status is Status.FAILED
        assert f"its {purpose} run was stopped after 90.1 s" in outcomes[name].observed, name


def test_experiments_that_do_nothing_show_nothing(tmp_path: Path) -> None:
    recording = reference()
    for run in recording.parts["experimentruns"]:
        run["journal"] = run["journal"] and json.dumps({**json.loads(run["journal"]), "run": []})
    outcomes = outcomes_of(recording.held(tmp_path / "bundle"))
    lost = {name for name, each in outcomes.items() if each.status is Status.FAILED}
    assert lost == {"injects", "blast-radius", "abort"}
    assert "no action was run" in outcomes["abort"].observed
