"""What the grader of lab 2 did in a recorded run, against what the text says: times, places, order."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from graders.evidence.records import AuditEvent
from graders.kube.pointers import at_pointer
from graders.kube.workloads import is_ready, why_without_pods
from graders.lab2.checks.security import _connections
from graders.lab2.images import digest_of
from graders.lab2.names import (
    BAD_SERVICE,
    BAD_WORKLOAD,
    ENFORCE,
    ENVIRONMENTS,
    HUB,
    NAMESPACES,
    NOTE,
    SYSTEM_NAMESPACES,
)
from graders.lab2.rulebook import broken
from graders.paths import REPOSITORY
from tests.unit.lab2_recording import ENGINE, Record, Recording, reference

REFERENCE = REPOSITORY / "solutions" / "lab2" / "reference"
READINESS_LOOKS_S = 1.0
"""So much earlier may a status be than what it follows from, for clocks of two processes."""


@cache
def run() -> Recording:
    """The record; nothing here changes it."""
    return reference()


def times(track: str, name: str) -> list[float]:
    return [mark["t"] for mark in run()["marks"] if (mark["track"], mark["name"]) == (track, name)]


def commits(subject: str) -> list[Record]:
    return [each for each in run()["commits"] if each["subject"].startswith(subject)]


def writes(environment: str, since: float, until: float) -> list[Record]:
    return [
        event
        for event in run()["audit"]
        if event["cluster"] == environment
        and event["user"] == ENGINE
        and since < event["t_end"] <= until
        and AuditEvent(**event).is_write
        and event["resource"] not in ("events", "leases")
    ]


def first_ready(environment: str, version: str, since: float) -> float:
    """When web was first ready at a version, by its controller."""
    for event in run().readied(environment, version, since):
        if is_ready(event["response"]):
            return float(event["t"])
    raise AssertionError(f"{environment} was never ready at {version}")


def test_there_are_a_hub_and_three_spokes_on_embedded_clusters() -> None:
    clusters = run().manifest["clusters"]
    assert set(clusters) == {HUB, *ENVIRONMENTS}
    assert {each["provider"] for each in clusters.values()} == {"embedded"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_spoke_begins_with_bare_namespaces(environment: str) -> None:
    first: dict[str, Any] = {}
    for each in run()["objects"]:
        if (each["cluster"], each["resource"]) == (environment, "namespaces"):
            first.setdefault(each["name"], each["object"]["metadata"].get("labels"))
    for name in NAMESPACES:
        assert first[name] == {"kubernetes.io/metadata.name": name}


def test_the_hub_s_objects_are_applied_once_and_the_engine_writes_after_that() -> None:
    (applied,) = times("install", "applied")
    for environment in ENVIRONMENTS:
        first = min(e["t"] for e in run()["audit"] if (e["cluster"], e["user"]) == (environment, ENGINE))
        assert first > applied
        assert run().stored(environment, "v1")[0]["t"] > applied


@pytest.mark.parametrize(("environment", "held_s"), [("dev", 15.0), ("staging", 10.0)])
def test_new_pods_are_held_from_the_first_of_them_on(environment: str, held_s: float) -> None:
    since = run().mark("promotion", "released")["t"]
    stored = run().stored(environment, "v2", since)[0]["t"]
    took_s = first_ready(environment, "v2", since) - stored
    # Staging has two, one after the other.
    assert held_s - READINESS_LOOKS_S <= took_s <= 2 * held_s + 5.0


def test_pods_of_prod_are_ready_soon_and_those_of_v3_never() -> None:
    since = run().mark("promotion", "released")["t"]
    stored = run().stored("prod", "v2", since)[0]["t"]
    assert first_ready("prod", "v2", since) - stored < 15.0
    with pytest.raises(AssertionError, match="dev was never ready at v3"):
        first_ready("dev", "v3", since)


def test_a_release_that_fails_is_watched_for_its_timeout_and_w() -> None:
    (window,), (over,) = times("gate", "window"), times("gate", "window-over")
    assert over - window >= 30.0 + 15.0
    assert [
        m["data"]["version"] for m in run()["marks"] if (m["track"], m["name"]) == ("gate", "released")
    ] == [
        "v3",
        "v4",
    ]


def test_v6_comes_when_v5_is_in_staging_and_before_prod_has_it() -> None:
    first, second = times("race", "released")
    stored = run().stored("staging", "v5", first)[0]["t_end"]
    assert stored - READINESS_LOOKS_S <= second <= stored + 5.0
    assert second < first_ready("staging", "v5", first)


def test_a_settled_fleet_is_left_alone_for_w_twice_with_a_note_between() -> None:
    assert [over - since for since, over in zip(*_windows(), strict=True)] == pytest.approx([15, 15], abs=1.0)
    (note,) = commits("Write a note")
    assert note["files"] == [NOTE]
    (_, second), (first_over, _) = _windows()
    assert first_over <= note["t"] <= second


def _windows() -> tuple[list[float], list[float]]:
    return times("steady", "window"), times("steady", "window-over")


CHANGED = {
    "replicas": ("Deployment", "web", ["spec", "replicas"]),
    "cpu-request": ("Deployment", "web", ["requests", "cpu"]),
    "service": ("Service", "cache", []),
    "network": ("NetworkPolicy", "cache", ["spec", "ingress"]),
    "enforce-label": ("Namespace", "web", ["labels", ENFORCE]),
    "policy": ("ValidatingAdmissionPolicyBinding", "images", ["spec", "validationActions"]),
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_six_things_are_changed_in_each_environment(environment: str) -> None:
    drifted = [
        mark["data"]
        for mark in run()["marks"]
        if mark["name"] == "drifted" and mark["data"]["environment"] == environment
    ]
    assert {each["case"]: (each["kind"], each["object"], each["pointer"][-2:]) for each in drifted} == CHANGED
    assert {each["code"] for each in drifted} == {200}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_extras_are_committed_and_removed_again(environment: str) -> None:
    (added,), (removed,) = commits("Add an extra"), commits("Remove it again")
    folder = f"clusters/{environment}/extra"
    for commit in (added, removed):
        assert {f"{folder}/{name}" for name in ("kustomization.yaml", "load.yaml", "map.yaml")} <= set(
            commit["files"]
        )
    for resource in ("configmaps", "deployments"):
        seen = run().seen(environment, resource, "lab-prune")
        assert seen[0]["type"] == "ADDED"
        assert seen[-1]["type"] == "DELETED"
        assert added["t"] < seen[0]["t"] < removed["t"] < seen[-1]["t"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_breaks_r2_and_r4_is_committed_and_tried_and_taken_back(environment: str) -> None:
    (added,), (back,) = commits("Add what breaks"), commits("Take it back")
    tried = {e["name"]: e for e in writes(environment, added["t"], back["t"])}
    assert tried[BAD_SERVICE]["code"] == 422
    stored = next(each["object"] for each in run().seen(environment, "deployments", BAD_WORKLOAD))
    stored = {"kind": "Deployment", **stored}
    registry, unsigned = str(run().manifest["block"]["registry"]), str(run().manifest["block"]["unsigned"])
    assert broken(stored, registry, unsigned) == {"R2"}
    assert at_pointer(stored, ("spec", "template", "spec", "containers", 0, "resources")) == {}


def test_the_last_release_is_taken_back_by_git_revert() -> None:
    (back,) = commits("Revert")
    (last,) = commits("Release v6")
    assert back["subject"] == f"Revert {last['sha'][:12]}"
    assert back["release"] == "v5"
    (window,), (over,) = times("rollback", "window"), times("rollback", "window-over")
    assert over - window >= 15.0


def test_staging_is_away_while_v7_gets_ready_in_dev_and_the_engine_dies_when_it_gets_there() -> None:
    (away,), (back,) = times("outage", "away"), times("outage", "back")
    (dev_ready,), (released,) = times("outage", "dev-ready"), times("outage", "released")
    (killed,), (started,) = times("outage", "engine-killed"), times("outage", "engine-started")
    assert away <= released < dev_ready < back < killed < started
    assert back - dev_ready >= 20.0
    assert started - killed >= 5.0
    stored = run().stored("staging", "v7")[0]["t_end"]
    assert stored <= killed <= stored + 5.0
    assert not [e for e in writes("staging", away, back - 5.0) if e["code"] < 300]
    assert [e["t"] for each in ENVIRONMENTS for e in writes(each, killed + 0.5, started - 2.0)] == []


def test_each_file_of_the_policies_tests_goes_to_dev_by_a_dry_run() -> None:
    sent = [each for each in run()["asked"] if each["case"].startswith("review/")]
    files = {
        path.relative_to(REFERENCE).as_posix() for path in (REFERENCE / "policies" / "tests").rglob("*.yaml")
    }
    assert {each["name"] for each in sent} == files
    assert {(each["cluster"], each["dry_run"]) for each in sent} == {("dev", True)}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_tokens_are_opened_on_each_spoke_and_those_that_replace_them_arrive(environment: str) -> None:
    seen = {each["phase"]: each for each in run()["secrets"] if each["cluster"] == environment}
    assert set(seen) == {"handed-in", "replaced"}
    assert seen["handed-in"]["sha256"] != seen["replaced"]["sha256"]
    (replaced,) = commits("Replace the tokens")
    assert f"secrets/{environment}/web-token.yaml" in replaced["files"]


@pytest.mark.parametrize(
    "track",
    ["promotion", "gate", "race", "steady", "drift", "prune", "secrets", "admission", "gated", "review",
     "fail-closed", "rollback", "outage"],
)  # fmt: skip
def test_each_story_begins_settled(track: str) -> None:
    first = next(mark for mark in run()["marks"] if mark["track"] == track)
    assert first["name"] == "settled"
    for environment in ENVIRONMENTS:
        beside = track in ("review", "admission", "secrets")
        assert beside or writes(environment, first["t"] - 5.0, first["t"]) == []
        there = [o for o in run().seen(environment, "deployments", "web") if o["t"] <= first["t"]][-1][
            "object"
        ]
        image = there["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image.endswith(digest_of(first["data"]["version"]))
        assert there["status"]["availableReplicas"] == there["spec"]["replicas"]


def test_attempts_are_made_where_the_rules_hold_alone() -> None:
    """In namespaces of the system no rule is asked about, for nothing is tried there."""
    tried = {
        each["namespace"]
        for each in run()["asked"]
        if each["case"].startswith(("direct/", "admits/", "signing/", "closed"))
    }
    assert tried == {"web", "lab-elsewhere"}
    assert not [name for name in tried if name.startswith(SYSTEM_NAMESPACES)]
    assert SYSTEM_NAMESPACES == ("kube-", "argocd", "flux-system", "kyverno", "gatekeeper-system")


def test_so_many_connections_are_asked_about_and_no_others() -> None:
    """Six that are allowed; not gateway's two, two of each of four strangers, and three to the world."""
    asked = {said: wanted for said, _, _, _, wanted in _connections({})}
    strangers = (
        "an unlabelled pod of gateway", "a pod of web labelled as gateway", "an unlabelled pod of web",
        "a pod of dev-tools labelled as web",
    )  # fmt: skip
    allowed = {
        "gateway → web:8080", "web → cache:6379",
        *(f"{who} → DNS:53/{protocol}" for who in ("web", "cache") for protocol in ("UDP", "TCP")),
    }  # fmt: skip
    denied = {
        "gateway → cache:6379", "gateway → web:9090",
        *(f"{who} → {what}" for who in strangers for what in ("web:8080", "cache:6379")),
        *(f"{who} → 203.0.113.7:443" for who in ("web", "cache", "an unlabelled pod of web")),
    }  # fmt: skip
    assert asked == dict.fromkeys(allowed, True) | dict.fromkeys(denied, False)


def test_why_pods_are_not_made_is_said() -> None:
    conditions = [
        {"type": "Available", "status": "False", "message": "too few"},
        {"type": "ReplicaFailure", "status": "True", "message": "denied by a policy"},
    ]
    assert why_without_pods({"status": {"conditions": conditions}}) == ": denied by a policy"
    assert why_without_pods({"status": {"conditions": conditions[:1]}}) == why_without_pods(None) == ""
