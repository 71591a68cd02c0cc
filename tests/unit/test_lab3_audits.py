"""Audits: what a benchmark asks of a flag, what a command line says of it, and what has to be answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.audits.commandlines import demand_in, flag_value
from graders.judging import collect_checks
from graders.judging.run import outcome_of
from graders.model import Outcome, Status
from tests.unit.lab3_recording import Recording, reference

BENCH, HUNTER, WAIVERS = "audits/kube-bench.json", "audits/kube-hunter.json", "audits/waivers.yaml"
BACKLOG = "backlog.yaml"


@pytest.mark.parametrize(
    ("asks", "line", "met"),
    [
        ("Ensure that the --profiling argument is set to false (Automated)", "--profiling=false", True),
        ("Ensure that the --profiling argument is set to false", "--profiling", False),
        ("Ensure that the --profiling argument is set to false", "", False),
        ("Ensure that the --token-auth-file parameter is not set (Automated)", "", True),
        ("Ensure that the --token-auth-file parameter is not set", "--token-auth-file=f", False),
        ("the --authorization-mode argument is not set to AlwaysAllow", "--authorization-mode=RBAC", True),
        ("the --authorization-mode argument is not set to AlwaysAllow", "--authorization-mode A,B", True),
        (
            "the --authorization-mode argument is not set to AlwaysAllow",
            "--authorization-mode=RBAC,AlwaysAllow",
            False,
        ),
        ("the --authorization-mode argument includes Node", "--authorization-mode=RBAC", False),
        ("the --authorization-mode argument includes Node", "--authorization-mode=Node,RBAC", True),
        ("the --audit-log-maxage argument is set to 30 or as appropriate", "--audit-log-maxage=31", True),
        ("the --audit-log-maxage argument is set to 30 or as appropriate", "--audit-log-maxage=9", False),
        ("the --audit-log-path argument is set (Automated)", "--audit-log-path=-", True),
        ("the --client-ca-file argument is set as appropriate", "", False),
        ("the --client-cert-auth argument is set to true", "--client-cert-auth --name=etcd", True),
        ("the --client-cert-auth argument is set to true", "--client-cert-auth=false", False),
        # The last one counts.
        ("the --profiling argument is set to false", "--profiling=true --profiling=false", True),
        # A flag whose name begins like it is another one.
        ("the --audit-log-path argument is set", "--audit-log-path-else=x", False),
    ],
)
def test_a_demand_is_met_or_not(asks: str, line: str, met: bool) -> None:
    demand = demand_in(asks)
    assert demand is not None
    assert demand.holds(flag_value(["kube-apiserver", *line.split()], demand.flag)) is met


@pytest.mark.parametrize(
    "asks",
    [
        "Ensure that the --tls-cert-file and --tls-private-key-file arguments are set as appropriate",
        "Ensure that the admission control plugin AlwaysAdmit is not set",
        "Ensure that the --DenyServiceExternalIPs is set",
        "Ensure that the --cipher-suites are strong",
        "",
    ],
)
def test_what_names_no_single_flag_is_not_judged(asks: str) -> None:
    assert demand_in(asks) is None


def test_a_flag_whose_default_will_do_may_be_left_out() -> None:
    lookup = demand_in("the --service-account-lookup argument is set to true")
    assert lookup is not None
    assert lookup.may_lack
    profiling = demand_in("the --profiling argument is set to false")
    assert profiling is not None
    assert not profiling.may_lack


Change = Callable[[Any], object]


def judged(folder: Path, path: str, change: Change) -> Outcome:
    recording: Recording = reference()
    (file,) = (each for each in recording.parts["handedin"] if each["path"] == path)
    if path.endswith(".json"):
        data = json.loads(file["text"])
        changed = change(data)
        file["text"] = json.dumps(data if changed is None else changed)
    else:
        file["text"] = change(file["text"])
    (info,) = (info for info in collect_checks("lab3") if info.id == "audits")
    return outcome_of(info, recording.held(folder / "bundle"))


def result(data: Any, number: str) -> Any:
    return next(
        each
        for controls in data["Controls"]
        for section in controls["tests"]
        for each in section["results"]
        if each["test_number"] == number
    )


def says(number: str, **changed: object) -> Change:
    return lambda data: result(data, number).update(changed)


def without_scheduler(data: Any) -> None:
    data["Controls"][0]["tests"].pop()


def by_hand(data: Any) -> None:
    for controls in data["Controls"]:
        for section in controls["tests"]:
            for each in section["results"]:
                each.update(status="WARN", type="manual")


@pytest.mark.parametrize(
    ("path", "change", "told"),
    [
        (BENCH, says("1.2.15", status="FAIL"), "1.2.15 is FAIL, and the command line of kube-apiserver"),
        (BENCH, says("2.5", status="PASS"), "2.5 is PASS, and the command line of etcd gives FAIL"),
        (BENCH, says("1.2.8", status="WARN"), "1.2.8 is WARN"),
        (BENCH, says("1.2.27", status="INFO", type="skip"), "1.2.27 was skipped, and the command line"),
        (BENCH, without_scheduler, "none of kube-scheduler"),
        (BENCH, by_hand, "has 0, and none of etcd, kube-apiserver"),
        (BENCH, lambda data: data["Totals"].update(total_pass=99), "Totals says 99 PASS"),
        (BENCH, lambda data: data["Controls"][1].update(total_fail=0), "control 2 says 0 FAIL"),
        (BENCH, lambda data: data["Controls"][0]["tests"][0].update(warn=1), "section 1.2 says 1 WARN"),
        (BENCH, lambda data: {"Totals": data["Totals"]}, "Controls"),
        (BENCH, lambda _: [1, 2], BENCH),
        (BENCH, says("1.2.15", status="MAYBE"), "status"),
        (BENCH, says("1.2.15", status=None), "status"),
        (HUNTER, lambda data: data["vulnerabilities"].append({"vid": "KHV002"}), "has KHV002, and here"),
        (HUNTER, lambda data: data.update(vulnerabilities=None), "vulnerabilities"),
        (WAIVERS, lambda text: text.replace("id: 1.2.7,", "id: 1.2.8,"), "kube-bench 1.2.7 fails"),
        (WAIVERS, lambda text: text.replace("kube-bench, id: 1.2.7", "kube-hunter, id: 1.2.7"), "1.2.7"),
        (WAIVERS, lambda text: text.replace("2027-11-30", "2026-01-31", 1), "ended 2026-01-31"),
        (WAIVERS, lambda text: text.replace("2027-11-30", "never", 1), "audits/waivers.yaml:3"),
        (BACKLOG, lambda text: text.replace("finding: 1.2.17", "finding: F2"), "kube-bench 1.2.17 fails"),
        (BACKLOG, lambda text: text.replace("{audit: 1.2.27}", "{audit: 1.2.18}"), "kube-bench 1.2.27 fails"),
        (WAIVERS, lambda text: text.replace("reason", "because", 1), 'unknown key "because"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(path: str, change: Change, told: str, tmp_path: Path) -> None:
    outcome = judged(tmp_path, path, change)
    assert outcome.status is Status.FAILED
    assert told in outcome.observed, outcome.observed


def test_what_was_skipped_and_holds_hides_nothing(tmp_path: Path) -> None:
    outcome = judged(tmp_path, BENCH, says("1.2.8", status="INFO", type="skip"))
    assert "1.2.8" not in outcome.observed.replace("section 1.2", "")


def test_without_a_sandbox_nothing_is_hunted_and_the_rest_is_judged(tmp_path: Path) -> None:
    recording = reference()
    recording.parts["hunterruns"][0].update(ok=False, skipped=True, text="")
    (info,) = (info for info in collect_checks("lab3") if info.id == "audits")
    assert outcome_of(info, recording.held(tmp_path / "bundle")).status is Status.PASSED


def test_a_machine_that_could_not_hunt_costs_nobody_a_point(tmp_path: Path) -> None:
    recording = reference()
    recording.parts["hunterruns"][0]["text"] = '{"nodes": [], "services": [], "vulnerabilities": []}'
    (info,) = (info for info in collect_checks("lab3") if info.id == "audits")
    outcome = outcome_of(info, recording.held(tmp_path / "bundle"))
    assert outcome.status is Status.ERROR
