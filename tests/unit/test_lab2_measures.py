"""What the words of lab 2's text mean: each test changes the recorded run by just what a word is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.lab2.fixednames import LABEL
from graders.lab2.images import digest_of
from graders.lab2.names import BAD_SERVICE, BAD_WORKLOAD, ENVIRONMENTS
from graders.model import Outcome, Status
from tests.unit.flaws import Flaw, assert_costs_exactly, every
from tests.unit.lab2_recording import Record, Recording, reference
from tests.unit.test_lab2_checks import asked, judged, late_in_dev, never_tried, released

POLICIES = "validatingadmissionpolicies"

Mutation = Callable[[Recording], object]


def three_namespaces_of_one_cluster(run: Recording) -> None:
    uid = run.seen("dev", "deployments", "web")[0]["object"]["metadata"]["uid"]
    for seen in run.seen("prod", "deployments", "web"):
        seen["object"]["metadata"]["uid"] = uid


def cache_by_another_name(run: Recording) -> None:
    for part in ("objects", "audit"):
        for each in run[part]:
            if (each["cluster"], each["resource"], each["name"]) == ("prod", "deployments", "cache"):
                each["name"] = "redis"


def stored_by_somebody_else(run: Recording) -> None:
    for event in run.stored("dev", "v2"):
        event["user"] = "lab-drift"


def ready_at_the_former_spec(run: Recording) -> None:
    """All replicas of dev are available, and of the spec before, until staging has the release."""
    staging = run.stored("staging", "v2")[0]["t"]
    for event in run.readied("dev", "v2"):
        if event["t"] <= staging:
            event["response"]["status"]["observedGeneration"] -= 1


def ready_but_for_one(run: Recording) -> None:
    """One replica of staging is not available until prod has the release."""
    prod = run.stored("prod", "v2")[0]["t"]
    for event in run.readied("staging", "v2"):
        if event["t"] <= prod:
            event["response"]["status"]["availableReplicas"] = 1


def written_by_the_engine_s_hand(run: Recording, **fields: object) -> Record:
    """A write of the engine's that changed an object, while nothing was to be written."""
    t = run.mark("steady", "window", 1)["t"] + 3
    made = run.again("audit", run.stored("prod", "v2")[0], t=t, t_end=t, **fields)
    made["response"]["metadata"]["resourceVersion"] = "99999"
    return made


def a_pod_of_a_job(run: Recording) -> None:
    """The API server takes the Job, and its controller gets a pod stored."""
    asked(run, "direct/r3-job", 201)
    job = next(each for each in run["asked"] if each["case"] == "direct/r3-job")
    pod = next(o for o in run["objects"] if (o["cluster"], o["resource"]) == ("dev", "pods"))
    t = run.mark("admission", "looked")["t"] - 1
    made = run.again("objects", pod, t=t, namespace=job["namespace"], cluster=job["cluster"])
    made["object"]["metadata"]["labels"] = {"app.kubernetes.io/name": job["name"]}


def no_pod_comes(run: Recording) -> None:
    """The Deployment is admitted in prod, and its pods are not."""
    gone = [
        o
        for o in run["objects"]
        if (o["cluster"], o["resource"]) == ("prod", "pods")
        and o["object"]["metadata"]["labels"]["app.kubernetes.io/name"] == "lab-deployment"
    ]
    assert gone
    run.remove("objects", gone)


def two_objects_in_a_file(run: Recording) -> None:
    found = next(each for each in run["asked"] if each["name"].endswith("r4-node-port.yaml"))
    found |= {"code": 0, "message": "it holds no single object: 2 documents", "object": None}


def no_file(path: str) -> Mutation:
    def change(run: Recording) -> None:
        run.remove("files", [each for each in run["files"] if each["path"] == path])

    return change


def another_probe(run: Recording) -> None:
    for seen in run.seen("prod", "deployments", "web"):
        text = json.dumps(seen["object"]).replace('"/live"', '"/healthz"')
        seen["object"] = json.loads(text)


def a_policy_less_in_prod(run: Recording) -> None:
    run.remove("objects", run.seen("prod", "validatingadmissionpolicybindings", "services", ""))


def impersonates(run: Recording) -> None:
    next(each for each in run["access"] if each["verb"] == "impersonate")["allowed"] = True


def no_class(run: Recording) -> None:
    run.remove(
        "objects", [o for o in run["objects"] if (o["cluster"], o["resource"]) == ("prod", "priorityclasses")]
    )


def arrives_late(run: Recording) -> None:
    run.mark("secrets", "replaced")["t"] -= 100


def short_token(run: Recording) -> None:
    next(each for each in run["secrets"] if each["phase"] == "handed-in")["length_bytes"] = 15


def another_label(run: Recording) -> None:
    for seen in run.seen("dev", "deployments", "cache"):
        seen["object"]["spec"]["template"]["metadata"]["labels"] = {"app": "cache"}


def another_account(run: Recording) -> None:
    for seen in run.seen("staging", "deployments", "web"):
        seen["object"]["spec"]["template"]["spec"].pop("serviceAccountName")


def without_an_account(run: Recording) -> None:
    run.remove("objects", run.seen("prod", "serviceaccounts", "cache"))


def another_port(run: Recording) -> None:
    for seen in run.seen("dev", "deployments", "web"):
        for each in seen["object"]["spec"]["template"]["spec"]["containers"]:
            each["ports"] = [{"name": "http", "containerPort": 80}]


def without_a_service(run: Recording) -> None:
    run.remove("objects", run.seen("dev", "services", "web"))


def late_broken_one(run: Recording) -> None:
    run.move(run.stored("dev", "v3"), released(run, "gate", "v3") + 31)


def probed(environment: str, **changes: Any) -> Mutation:
    """The probe of readiness is changed, or goes."""

    def change(run: Recording) -> None:
        for seen in run.seen(environment, "deployments", "web"):
            for each in seen["object"]["spec"]["template"]["spec"]["containers"]:
                probe = each.pop("readinessProbe")
                if changes:
                    each["readinessProbe"] = {"httpGet": {**probe["httpGet"], **changes}}

    return change


def a_workload_of_another_kind(run: Recording) -> None:
    made = [e for e in run["audit"] if (e["cluster"], e["name"], e["code"]) == ("dev", "cache", 201)]
    deployment = next(e for e in made if e["resource"] == "deployments")
    run.again("audit", deployment, resource="statefulsets", name="queue")


def recreated(run: Recording) -> None:
    """The engine deletes what no watch follows, to make it anew."""
    t = run.mark("prune", "removed")["t"] + 1
    event = run.stored("prod", "v2")[0]
    run.again(
        "audit", event, t=t, t_end=t, verb="delete", group="", resource="secrets", name="web-token", code=200
    )


def unsigned_by_a_deployment(run: Recording) -> None:
    tried = next(each for each in run["asked"] if each["case"] == "signing/unsigned")
    name = "lab-unsigned-deployment"
    run.again(
        "asked", tried, case="signing/unsigned-deployment", kind="Deployment", name=name, code=201, message=""
    )
    pod = next(o for o in run["objects"] if (o["cluster"], o["resource"]) == (tried["cluster"], "pods"))
    made = run.again("objects", pod, t=run.mark("admission", "looked")["t"] - 1, namespace=tried["namespace"])
    made["object"]["metadata"]["labels"] = {"app.kubernetes.io/name": name}


def is_ended(run: Recording) -> None:
    """On a bad commit the preflight does not end in time."""
    found = next(each for each in run["tools"] if each["tool"].endswith("bad/r3-prod"))
    found |= {"code": None, "reason": "was stopped: it ran longer than it may"}


FLAWS = (
    Flaw("gate-ci", "is ended", is_ended, "the preflight refuses r3-prod"),
    Flaw("installs", "another label", another_label, f"pods of cache labelled {LABEL}: cache"),
    Flaw("installs", "another account", another_account, "theirs is default"),
    Flaw("installs", "no account", without_an_account, "pods of cache with a ServiceAccount cache"),
    Flaw("installs", "another port", another_port, "a container web with port 8080"),
    Flaw("installs", "no Service", without_a_service, "a Service web"),
    Flaw("installs", "no probe in dev", probed("dev"), "dev: a probe of web at /ready"),
    Flaw("installs", "a probe of another port", probed("staging", port=9090), "staging: a probe of web at"),
    Flaw("inventory", "another kind", a_workload_of_another_kind, "dev: workloads as they are"),
    Flaw("prune", "made anew", recreated, "secrets web-token in prod untouched"),
    Flaw("signing", "by a Deployment", unsigned_by_a_deployment, "unsigned-deployment denied"),
    Flaw("health-gate", "late in dev", late_broken_one, "v3 in dev within"),
    Flaw("rbac", "impersonates", impersonates, "it may impersonate"),
    Flaw("scheduling", "no such class", no_class, "a PriorityClass that exists"),
    Flaw("secrets", "arrives late", arrives_late, "new tokens within 90 s"),
    Flaw("secrets", "too short", short_token, "16 bytes or more"),
    Flaw("installs", "three namespaces", three_namespaces_of_one_cluster, "a web of their own: 2"),
    Flaw(
        "installs", "a Deployment by another name", cache_by_another_name, "Deployment cache in prod",
        ("gate-admission", "inventory"),
    ),
    Flaw("dev-first", "stored by somebody else", stored_by_somebody_else, "v2 in dev within"),
    Flaw(
        "dev-first", "ready at the former spec", ready_at_the_former_spec, "only once it is ready in dev",
        ("ordered",),
    ),
    Flaw("ordered", "ready but for one", ready_but_for_one, "prod once it is ready in staging"),
    Flaw("gate-direct", "a pod of a Job", a_pod_of_a_job, "a pod of the Job was stored"),
    Flaw("gate-admits", "no pod comes", no_pod_comes, "deployment admitted, with its pods"),
    Flaw("policy-review", "two objects in a file", two_objects_in_a_file, "r4-node-port.yaml denied"),
    Flaw("posture", "no file", no_file("SECURITY.md"), "a SECURITY.md"),
    Flaw("inventory", "no file", no_file("fleet.yaml"), "fleet.yaml"),
    Flaw("scheduling", "another probe", another_probe, "a probe at /live"),
    Flaw("inventory", "a policy that is not there", a_policy_less_in_prod, "prod: policies as they are"),
)  # fmt: skip


@every(FLAWS)
def test_what_a_word_means_costs_exactly_its_check(flaw: Flaw[Recording], tmp_path: Path) -> None:
    run = reference()
    flaw.mutate(run)
    assert_costs_exactly(flaw, judged(run, tmp_path))


def lost(run: Recording, folder: Path) -> dict[str, Outcome]:
    return {name: each for name, each in judged(run, folder).items() if each.status is not Status.PASSED}


@pytest.mark.parametrize(
    "fields",
    [
        {"subresource": "status"},
        {"resource": "events", "name": "web.1"},
        {"resource": "leases", "name": "web"},
        {"dry_run": True},
    ],
    ids=["a status", "an Event", "a Lease", "a dry run"],
)
def test_what_is_no_write(fields: dict[str, object], tmp_path: Path) -> None:
    run = reference()
    written_by_the_engine_s_hand(run, **fields)
    assert lost(run, tmp_path) == {}


def test_what_the_same_write_is_otherwise(tmp_path: Path) -> None:
    run = reference()
    written_by_the_engine_s_hand(run)
    assert set(lost(run, tmp_path)) == {"steady"}


def test_what_makes_pods_is_denied_where_no_pod_comes(tmp_path: Path) -> None:
    run = reference()
    for each in run["asked"]:
        if each["case"] in ("direct/r1-deployment", "direct/r2-statefulset", "direct/r3-job"):
            each |= {"code": 201, "message": ""}
    assert lost(run, tmp_path) == {}


def test_a_pod_that_is_stored_is_not_denied(tmp_path: Path) -> None:
    run = reference()
    asked(run, "direct/r2-init", 201)
    assert set(lost(run, tmp_path)) == {"gate-direct"}


@pytest.mark.parametrize(("scale", "kept"), [(1.0, False), (3.0, True)])
def test_times_are_multiplied_by_how_slow_the_machine_is(scale: float, kept: bool, tmp_path: Path) -> None:
    run = reference()
    late_in_dev(run)
    run.manifest["calibration"] = {**run.manifest["calibration"], "scale": scale}
    assert ("dev-first" not in lost(run, tmp_path)) is kept


@pytest.mark.parametrize(("version", "kept"), [("v5", True), ("v6", False)])
def test_what_is_overtaken_may_be_skipped_in_prod(version: str, kept: bool, tmp_path: Path) -> None:
    run = reference()
    since = released(run, "race", "v5")
    gone = [
        event
        for event in run["audit"]
        if event["cluster"] == "prod"
        and event["t"] >= since
        and digest_of(version) in json.dumps(event["response"])
    ]
    run.remove("audit", gone)
    assert ("race" not in lost(run, tmp_path)) is kept


def test_other_changes_may_reach_all_environments_at_once(tmp_path: Path) -> None:
    run = reference()
    t = released(run, "promotion", "v2") + 0.5
    for environment in ENVIRONMENTS:
        for resource, name in (("configmaps", "lab-prune"), ("deployments", "cache")):
            found = [
                e
                for e in run["audit"]
                if (e["cluster"], e["resource"], e["name"], e["code"]) == (environment, resource, name, 201)
            ]
            run.again("audit", found[0], t=t, t_end=t, code=200, verb="patch")
        policy = next(e for e in run["audit"] if (e["cluster"], e["resource"]) == (environment, POLICIES))
        run.again("audit", policy, t=t, t_end=t, code=200, verb="patch")
    assert lost(run, tmp_path) == {}


def test_a_policy_that_names_the_release_may_reach_prod_while_staging_is_away(tmp_path: Path) -> None:
    run = reference()
    policy = next(e for e in run["audit"] if (e["cluster"], e["resource"]) == ("prod", POLICIES))
    t = run.mark("outage", "back")["t"] - 5
    run.again("audit", policy, t=t, t_end=t, code=200, verb="patch")
    assert lost(run, tmp_path) == {}


def test_a_run_of_the_command_that_fails_costs_nothing(tmp_path: Path) -> None:
    run = reference()
    t = run.mark("gate", "released", version="v4")["t"]
    failed = {"t": t, "t_end": t + 1, "nth": 9, "code": 1, "reason": "exited with code 1", "output": "x"}
    run["commandruns"].append(failed)
    assert lost(run, tmp_path) == {}


_WAITS, _FAILS, _GOES_ON = "DependencyNotReady", "HealthCheckFailed", "Progressing"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (((_WAITS, 0.1),), True),
        (((_WAITS, -0.1),), True),
        (((_WAITS, -0.1), (_GOES_ON, 0.1)), False),
        (((_FAILS, 0.1),), False),
    ],
    ids=["of one that was refused", "since before it was refused", "of an earlier commit", "of nobody"],
)
def test_who_waits_for_another_that_is_refused_need_not_try(
    told: tuple[tuple[str, float], ...], kept: bool, tmp_path: Path
) -> None:
    run = reference()
    never_tried(run)
    bad, added = (BAD_SERVICE, BAD_WORKLOAD), run.mark("gated", "added")["t"]
    tries = [e["t"] for e in run["audit"] if e["cluster"] == "dev" and e["name"] in bad and e["t"] >= added]
    for reason, after_s in told:
        t = min(tries) + after_s
        some = run.again("objects", run["objects"][0], t=t, cluster="hub", resource="kustomizations")
        some |= {"name": "staging", "namespace": "flux-system", "type": "MODIFIED"}
        some["object"] = {
            "metadata": {"name": "staging", "namespace": "flux-system"},
            "spec": {"kubeConfig": {"secretRef": {"name": "staging-kubeconfig"}}},
            "status": {"conditions": [{"type": "Ready", "status": "False", "reason": reason}]},
        }
    run["objects"].sort(key=lambda each: each["t"])
    assert ("gate-admission" not in lost(run, tmp_path)) is kept
