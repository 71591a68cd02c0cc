"""What a flaw in the record of lab 2 costs: exactly its check, in words a learner can use."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.lab2.images import digest_of
from graders.lab2.names import SERVING
from graders.model import Fault, Outcome, Status
from tests.unit import flaws
from tests.unit.flaws import assert_costs_exactly, checks_of, every, judged_alone
from tests.unit.lab2_recording import Recording, reference
from tests.unit.test_lab2_mesh import linkerd

LAB = "lab2"
Mutation = Callable[[Recording], object]


Flaw = flaws.Flaw[Recording]


def released(run: Recording, track: str, version: str) -> float:
    return float(run.mark(track, "released", version=version)["t"])


def deployment_on_the_hub(run: Recording) -> None:
    run.again("objects", run.seen("dev", "deployments", "web")[0], cluster="hub")


def without_secret(run: Recording) -> None:
    mark = run.mark("install", "installed")
    mark["name"] = "not-reached"
    mark["data"] = {"waiting_for": "everything on every spoke", "seen": "Secret web-token is not in dev"}


def made_by_somebody(run: Recording) -> None:
    made = [e for e in run["audit"] if (e["cluster"], e["name"], e["code"]) == ("prod", "cache", 201)]
    next(e for e in made if e["resource"] == "deployments")["user"] = "lab-drift"


def all_at_once(run: Recording) -> None:
    run.move(run.stored("staging", "v2")[:1], released(run, "promotion", "v2") + 1)


def late_in_dev(run: Recording) -> None:
    run.mark("promotion", "released")["t"] -= 40


def straight_from_dev(run: Recording) -> None:
    ready = run.readied("dev", "v2")[-1]["t"]
    run.move(run.stored("prod", "v2")[:1], ready + 0.5)


def two_replica_sets(run: Recording) -> None:
    sets = [o for o in run["objects"] if o["resource"] == "replicasets" and o["cluster"] == "dev"]
    found = next(o for o in sets if digest_of("v2") in json.dumps(o["object"]) and o["type"] == "ADDED")
    run.again("objects", found)["object"]["metadata"]["uid"] = "another"


def broken_in_staging(run: Recording) -> None:
    event = run.stored("staging", "v2")[0]
    text = json.dumps(event["response"]).replace(digest_of("v2"), digest_of("v3"))
    t = released(run, "gate", "v3") + 30
    run.again("audit", event, t=t, t_end=t, response=json.loads(text))


def never_unblocked(run: Recording) -> None:
    run.miss("gate", "prod-ready")


def overtakes(run: Recording) -> None:
    run.move(run.stored("prod", "v6", released(run, "race", "v6"))[:1], released(run, "race", "v6") + 0.2)


def writes_in_quiet(run: Recording) -> None:
    event = run.stored("prod", "v2")[0]
    t = run.mark("steady", "window", 1)["t"] + 3
    again = run.again("audit", event, t=t, t_end=t)
    again["response"]["metadata"]["resourceVersion"] = "99999"


def somebody_else_repairs(run: Recording) -> None:
    drifted = run.mark("drift", "drifted", case="service", environment="prod")
    for event in run["audit"]:
        if event["cluster"] == "prod" and event["name"] == "cache" and event["resource"] == "services":
            event["user"] = "lab-drift" if event["t"] >= drifted["t"] else event["user"]


def guarded_by_a_policy(run: Recording) -> None:
    mark = run.mark("drift", "drifted", case="replicas", environment="prod")
    said = "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'guard' denied request: no"
    mark["data"] |= {"code": 422, "message": said}


def stays_open(run: Recording) -> None:
    drifted = run.mark("drift", "drifted", case="network", environment="staging")
    name = drifted["data"]["object"]
    later = [o for o in run.seen("staging", "networkpolicies", name) if o["t"] > drifted["t"] - 1]
    run.remove("objects", later[1:])


def put_back_by_us(run: Recording) -> None:
    drifted = run.mark("drift", "drifted", case="network", environment="staging")
    name, t = drifted["data"]["object"], drifted["t"] + 100.0
    later = [o for o in run.seen("staging", "networkpolicies", name) if o["t"] > drifted["t"] - 1]
    run.move(later[1:], t + 0.5)
    run.again("marks", drifted, t=t, name="undone", data={"cases": ["network"]})


def untold(run: Recording) -> None:
    for item in run["objects"]:
        if item["resource"] == "applications":
            listed = item["object"]["status"]["resources"]
            item["object"]["status"]["resources"] = [each for each in listed if each["kind"] != "Namespace"]


def over_prunes(run: Recording) -> None:
    t = run.mark("prune", "removed")["t"] + 1
    seen = run.seen("dev", "services", "web")[-1]
    run.again("objects", seen, t=t)["object"]["metadata"]["uid"] = "another"


def back_out_of_order(run: Recording) -> None:
    back = run.mark("rollback", "released")
    run.move(run.stored("staging", back["data"]["version"], back["t"])[:1], back["t"] + 0.3)


def skips_staging(run: Recording) -> None:
    t = run.mark("outage", "back")["t"] - 5
    run.again("audit", run.stored("prod", "v2")[0], t=t, t_end=t)


def asked(run: Recording, case: str, code: int) -> None:
    found = [each for each in run["asked"] if each["case"] == case]
    if not found:
        pytest.skip(f"the recording was made before {case} was tried")
    found[0]["code"] = code


def exposed(run: Recording) -> None:
    t = run.mark("gated", "looked")["t"] - 1
    run.again("objects", run.seen("prod", "services", "web")[0], t=t, name="lab-exposed")


def never_tried(run: Recording) -> None:
    names = ("lab-exposed", "lab-unbounded")
    run.remove("audit", [e for e in run["audit"] if e["cluster"] == "staging" and e["name"] in names])


def not_ready_for_long(run: Recording) -> None:
    t = run.mark("rollback", "window-over")["t"] - 1
    last = [o for o in run.seen("prod", "deployments", "web") if o["t"] < t][-1]
    run.again("objects", last, t=t)["object"]["status"]["availableReplicas"] = 1
    run["objects"].sort(key=lambda each: each["t"])


def comes_back(run: Recording) -> None:
    t = run.mark("rollback", "window-over")["t"] - 2
    run.again("audit", run.stored("prod", "v2")[0], t=t, t_end=t)


def a_kyverno_policy_ignores_failures(run: Recording) -> None:
    run.manifest["block"]["policyKinds"] = {"clusterpolicies": "ClusterPolicy"}
    spec = {"webhookConfiguration": {"failurePolicy": "Ignore"}}
    one = run.seen("prod", "validatingadmissionpolicies", "images", "")[0]
    run.again("objects", one, resource="clusterpolicies")["object"]["spec"] = spec


def everything_of_a_group(run: Recording) -> None:
    one = next(each for each in run["access"] if each["resource"] == "*")
    run.again("access", one, group="apps", namespace="web", allowed=True)


def tool(run: Recording, name: str, code: int) -> None:
    next(each for each in run["tools"] if each["tool"].endswith(name))["code"] = code


def one_policy_less(run: Recording) -> None:
    run.remove("objects", run.seen("prod", "networkpolicies", "web"))


def ignores_failures(run: Recording) -> None:
    for seen in run.seen("prod", "validatingadmissionpolicies", "images", ""):
        seen["object"]["spec"]["failurePolicy"] = "Ignore"


def code_ignores_failures(run: Recording) -> None:
    code = {"engine": "K8sNativeValidation", "source": {"failurePolicy": "Ignore"}}
    for seen in run.seen("prod", "validatingadmissionpolicies", "images", ""):
        seen["object"]["spec"]["targets"] = [{"code": [{"engine": "Rego"}, code]}]


def two_at_once(run: Recording) -> None:
    found = next(each for each in run["asked"] if each["name"].endswith("r3-writable.yaml"))
    found["object"]["spec"]["containers"][0]["image"] = "docker.io/library/nginx"


def refused_for_a_mistake(run: Recording) -> None:
    found = next(each for each in run["asked"] if each["name"].endswith("r4-node-port.yaml"))
    found["message"] = 'Service "exposed" is invalid: spec.ports[0].port: Required value'


def readable(run: Recording) -> None:
    run["exposures"].append({"t": run.mark("secrets", "arrived")["t"], "where": "a commit", "how": "base64"})


def all_alike(run: Recording) -> None:
    for each in run["secrets"]:
        each["sha256"] = "the same"


def may_more(run: Recording) -> None:
    next(each for each in run["access"] if each["resource"] == "clusterroles")["allowed"] = True


def mesh(run: Recording) -> None:
    (found,) = (each for each in run["renderings"] if each["what"] == "mesh" and each["nth"] == 1)
    found["objects"][0]["spec"]["mtls"]["mode"] = "PERMISSIVE"


def a_dash_too_few(run: Recording) -> None:
    (found,) = (each for each in run["renderings"] if each["what"] == "mesh" and each["nth"] == 1)
    (policy,) = (
        o for o in found["objects"] if (o["kind"], o["metadata"]["name"]) == ("AuthorizationPolicy", "web")
    )
    policy["spec"]["rules"] = policy["spec"]["rules"][0]


def no_object_at_all(run: Recording) -> None:
    found = next(each for each in run["asked"] if each["name"].endswith("r3-writable.yaml"))
    found |= {"code": 400, "message": "Pod in version v1 cannot be handled as a Pod"}
    found["object"]["spec"] = "writable"


def mesh_misshapen(run: Recording) -> None:
    (found,) = (each for each in run["renderings"] if each["what"] == "mesh" and each["nth"] == 1)
    found["objects"][0]["spec"]["mtls"] = "STRICT"


def mesh_refused(run: Recording) -> None:
    said = 'strict decoding error: unknown field "spec.portLevelMTLS"'
    run["meshanswers"][0] |= {"code": 400, "message": said}


def mesh_unasked(run: Recording) -> None:
    run.parts["meshanswers"] = []


def undone(run: Recording) -> None:
    (made,) = (each for each in run["commits"] if each["release"] == "v6")
    run["commits"].append({**made, "t": made["t"] + 200, "sha": "another"})


def drift_refused(run: Recording) -> None:
    run.mark("drift", "drifted")["data"] |= {"code": 403, "message": "denied by a policy of the fleet"}


def no_budget(run: Recording) -> None:
    run.remove("objects", run.seen("prod", "poddisruptionbudgets", "web"))


def two_budgets(run: Recording) -> None:
    for seen in run.seen("prod", "poddisruptionbudgets", "web"):
        second = run.again("objects", seen, name="shop")
        second["object"]["metadata"]["name"] = "shop"


def other_bytes(run: Recording) -> None:
    next(each for each in run["renderings"] if each["nth"] == 2)["sha256"] = "other"


def text(path: str, old: str, new: str) -> Mutation:
    def change(run: Recording) -> None:
        (found,) = (each for each in run["files"] if each["path"] == path)
        assert old in found["text"]
        found["text"] = found["text"].replace(old, new, 1)

    return change


FLAWS = (
    Flaw("installs", "a Deployment on the hub", deployment_on_the_hub, "there is web"),
    Flaw("installs", "without a Secret", without_secret, "Secret web-token is not in dev"),
    Flaw("installs", "made by somebody else", made_by_somebody, "made by lab-drift", ("inventory",)),
    Flaw("dev-first", "everywhere at once", all_at_once, "v2 in staging only once it is ready", ("ordered",)),
    Flaw("dev-first", "late in dev", late_in_dev, "v2 in dev within"),
    Flaw("ordered", "prod straight from dev", straight_from_dev, "once it is ready in staging"),
    Flaw("ordered", "two ReplicaSets", two_replica_sets, "there are 2"),
    Flaw("health-gate", "v3 goes on", broken_in_staging, "no v3 in staging"),
    Flaw("unblock", "never", never_unblocked, "prod-ready within 9.0 s"),
    Flaw("race", "a release is undone", undone, "a push undid it"),
    Flaw("race", "v6 overtakes", overtakes, "once it is ready in staging"),
    Flaw("steady", "a write in the window", writes_in_quiet, "patch deployments web/web by gitops on prod"),
    Flaw("drift", "somebody else repairs", somebody_else_repairs, "put back by gitops"),
    Flaw("drift", "guarded", guarded_by_a_policy, "'guard' denied request"),
    Flaw("drift", "stays as it is", stays_open, "it never was"),
    Flaw("drift", "we put it back", put_back_by_us, "it never was"),
    Flaw(
        "drift", "a policy keeps everybody off", drift_refused, "answer 403 denied by a policy of the fleet"
    ),
    Flaw("drift-detected", "not told of", untold, "a word on the hub about Namespace web"),
    Flaw("prune", "something else goes", over_prunes, "services web in dev untouched"),
    Flaw("rollback", "out of order", back_out_of_order, "once it is ready in dev"),
    Flaw("rollback", "not ready for W", not_ready_for_long, "prod stays ready at it"),
    Flaw("rollback", "goes on again", comes_back, "gitops stored sha256:"),
    Flaw("engine-loss", "staging is skipped", skips_staging, "nothing written in web of prod while"),
    Flaw("gate-direct", "a tag", lambda run: asked(run, "direct/r1-tag", 201), "r1-tag (R1) denied"),
    Flaw("gate-admits", "denies", lambda run: asked(run, "admits/headless", 422), "headless admitted"),
    Flaw("gate-admission", "stored", exposed, "no Service of type NodePort in prod"),
    Flaw("gate-admission", "never tried", never_tried, "it tried nothing of it"),
    Flaw("gate-ci", "passes", lambda run: tool(run, "bad/r3-prod", 0), "the preflight refuses r3-prod"),
    Flaw("gate-ci", "refuses", lambda run: tool(run, "good/text", 1), "the preflight passes text"),
    Flaw(
        "signing", "runs", lambda run: asked(run, "signing/foreign-init", 201), "an image foreign-init denied"
    ),
    Flaw("signing", "released", lambda run: tool(run, "/release-copied", 0), "refuses release-copied"),
    Flaw(
        "fail-closed", "let in", lambda run: asked(run, "closed/unsigned", 201), "unsigned (signature) denied"
    ),
    Flaw("fail-closed", "ignores failures", ignores_failures, "images is Fail"),
    Flaw("fail-closed", "code of a template ignores failures", code_ignores_failures, "images is Fail"),
    Flaw(
        "fail-closed",
        "Kyverno's, too",
        a_kyverno_policy_ignores_failures,
        "failurePolicy of ClusterPolicy images is Fail",
        ("inventory",),
    ),
    Flaw(
        "policy-review",
        "denied",
        lambda run: asked(run, "review/policies/tests/pass/pod.yaml", 422),
        "admitted",
    ),
    Flaw("policy-review", "two at once", two_at_once, "breaks R3 and nothing else"),
    Flaw("policy-review", "a mistake", refused_for_a_mistake, "r4-node-port.yaml denied"),
    Flaw("secrets", "readable", readable, "a commit has it, base64"),
    Flaw("secrets", "all alike", all_alike, "different tokens: 1"),
    Flaw("netpol", "a policy less", one_policy_less, "prod: gateway → web:8080 gets through"),
    Flaw(
        "pod-security", "admitted", lambda run: asked(run, "restricted/root", 201), "a pod with root denied"
    ),
    Flaw("pod-security", "denies all", lambda run: asked(run, "restricted/compliant", 403), "compliant pod"),
    Flaw("rbac", "may more", may_more, "on dev it may create clusterroles"),
    Flaw("rbac", "all of a group", everything_of_a_group, "*.apps in web"),
    Flaw("mesh", "permissive", mesh, "mutual TLS of web:8080 is STRICT"),
    Flaw("mesh", "refused", mesh_refused, "PeerAuthentication default: strict decoding error: unknown"),
    Flaw("mesh", "a dash too few", a_dash_too_few, "AuthorizationPolicy web: "),
    Flaw("policy-review", "no object", no_object_at_all, "r3-writable.yaml denied"),
    Flaw(
        "inventory", "a number", text("fleet.yaml", "[web/cache, web/web]", "2"), "dev: a list of workloads"
    ),
    Flaw(
        "inventory", "no such day", text("fleet.yaml", "eu-west-1", "2026-13-45"), "a fleet.yaml that is YAML"
    ),
    Flaw("mesh", "a field of another type", mesh_misshapen, "a field is of another type"),
    Flaw("scheduling", "no budget", no_budget, "a PodDisruptionBudget of web"),
    Flaw("scheduling", "two budgets", two_budgets, "one PodDisruptionBudget of web"),
    Flaw("renders", "other bytes", other_bytes, "the same each time"),
    Flaw("inventory", "no region", text("fleet.yaml", "eu-west-1", "1"), "dev: a region"),
    Flaw("inventory", "forgotten", text("fleet.yaml", "web/cache, ", ""), "dev: workloads as they are"),
    Flaw(
        "inventory",
        "no list",
        text("fleet.yaml", "workloads: [", "workloads: all # ["),
        "a list of workloads",
    ),
    Flaw("posture", "dead link", text("SECURITY.md", "](mesh/", "](mash/"), "mesh: a link to a file"),
)


def judged(run: Recording, folder: Path) -> dict[str, Outcome]:
    bundle = run.held(folder / "bundle")
    tracks = set(bundle.manifest.tracks)
    return judged_alone(bundle, [info for info in checks_of(LAB) if set(info.tracks) <= tracks])


def test_the_reference_loses_nothing(tmp_path: Path) -> None:
    outcomes = judged(reference(), tmp_path)
    assert {name: each.observed for name, each in outcomes.items() if each.status is not Status.PASSED} == {}


def too_busy(group: str) -> Mutation:
    def change(run: Recording) -> None:
        each = next(each for each in run["asked"] if each["case"].startswith(f"{group}/"))
        each |= {"code": 429, "message": "too many requests"}

    return change


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("mesh", mesh_unasked),
        ("pod-security", too_busy("restricted")),
        ("gate-admits", too_busy("admits")),
        ("gate-direct", too_busy("direct")),
        ("signing", too_busy("signing")),
    ],
)
def test_what_nobody_could_answer_is_no_learner_s_fault(check: str, change: Mutation, tmp_path: Path) -> None:
    run = reference()
    change(run)
    outcomes = judged(run, tmp_path)
    assert outcomes[check].fault is Fault.INFRASTRUCTURE
    assert {name for name, each in outcomes.items() if each.status is not Status.PASSED} == {check}


def test_a_budget_for_the_whole_namespace_is_one_of_web(tmp_path: Path) -> None:
    run = reference()
    for seen in run.seen("prod", "poddisruptionbudgets", "web"):
        seen["object"]["spec"]["selector"] = {}
    assert judged(run, tmp_path)["scheduling"].status is Status.PASSED


@pytest.mark.parametrize(("name", "status"), [("resp", Status.PASSED), ("other", Status.FAILED)])
def test_a_server_may_name_the_port_as_the_deployment_does(name: str, status: Status, tmp_path: Path) -> None:
    run = reference()
    run.manifest["block"]["mesh"] = "linkerd"
    for rendering in run["renderings"]:
        for item in rendering["objects"]:
            if (item["kind"], item["metadata"]["name"]) == ("Deployment", "cache"):
                item["spec"]["template"]["spec"]["containers"][0]["ports"] = [
                    {"name": "resp", "containerPort": 6379},
                    {"name": "other", "containerPort": 9999},
                ]
        if rendering["what"] == "mesh":
            rendering["objects"] = linkerd()
            server = next(
                o for o in rendering["objects"] if (o["kind"], o["metadata"]["name"]) == ("Server", "cache")
            )
            server["spec"]["port"] = name
    assert judged(run, tmp_path)["mesh"].status is status


def test_a_dry_run_that_is_refused_is_a_try(tmp_path: Path) -> None:
    """With server-side apply the engine tries all by dry run, and stops there."""
    run = reference()
    for event in run["audit"]:
        if event["name"] in ("lab-exposed", "lab-unbounded"):
            event["dry_run"] = True
    assert judged(run, tmp_path)["gate-admission"].status is Status.PASSED


def test_a_dry_run_before_a_deployment_is_made_makes_none(tmp_path: Path) -> None:
    """Flux tries everything by dry run first, and the API server answers 201 to that, too."""
    run = reference()
    made = [e for e in run["audit"] if (e["cluster"], e["name"], e["code"]) == ("dev", "web", 201)]
    first = next(e for e in made if e["resource"] == "deployments")
    run.again("audit", first, dry_run=True)
    assert judged(run, tmp_path)["installs"].status is Status.PASSED


@every(FLAWS)
def test_a_flaw_in_the_record_costs_exactly_its_check(flaw: Flaw, tmp_path: Path) -> None:
    run = reference()
    tracks = {info.id: info.tracks for info in checks_of(LAB)}[flaw.check]
    if missing := set(tracks) - set(run.manifest["tracks"]):
        pytest.skip(f"the recording was made before there was a track {', '.join(sorted(missing))}")
    flaw.mutate(run)
    assert_costs_exactly(flaw, judged(run, tmp_path))


def test_a_fleet_that_never_came_up_fails_once_and_blocks_the_rest(tmp_path: Path) -> None:
    run = reference()
    at = run.mark("install", "installed")["t"]
    kept = [m for m in run["marks"] if m["track"] == "install" and m["t"] < at]
    missed = {"waiting_for": SERVING, "seen": "web in dev is at nothing"}
    for track in ("install", *sorted({m["track"] for m in run["marks"]} - {"install", "paper", "preflight"})):
        kept.append({"t": at, "track": track, "name": "missed", "data": missed})
    run.parts["marks"] = kept
    outcomes = judged(run, tmp_path)
    by_status = {name: each.status for name, each in outcomes.items()}
    on_paper = {"gate-ci", "mesh", "renders", "posture"}
    assert by_status.pop("installs") is Status.FAILED
    assert {name for name, status in by_status.items() if status is Status.PASSED} == on_paper
    assert {s for name, s in by_status.items() if name not in on_paper} == {Status.BLOCKED}
    assert outcomes["netpol"].hint == "Mend installs first; then this can be judged."
    assert outcomes["netpol"].fault is Fault.LEARNER


def test_every_check_has_a_flaw() -> None:
    assert {flaw.check for flaw in FLAWS} == {info.id for info in checks_of(LAB)}


def test_the_picture_has_a_row_for_each_version_in_each_environment(tmp_path: Path) -> None:
    from graders.lab2.panels import panels_of_tracks

    panels = {panel.track: panel for panel in panels_of_tracks(reference().held(tmp_path / "bundle"))}
    rows = {row.label: row for row in panels["promotion"].rows}
    assert {f"{where} {version}" for where in ("dev", "staging", "prod") for version in ("v1", "v2")} == set(
        rows
    )
    assert [span.states for span in rows["dev v2"].spans][-1] == ("ready",)
    assert (
        rows["dev v2"].spans[-1].start < rows["staging v2"].spans[-1].start < rows["prod v2"].spans[-1].start
    )
    assert any(tick.label == "released v2" for tick in panels["promotion"].marks)
    assert all(tick.t <= panel.end for panel in panels.values() for tick in (*panel.marks, *panel.writes))


def test_everything_that_drifts_has_its_turn_and_two_of_one_object_are_far_apart(tmp_path: Path) -> None:
    from graders.lab2.tracks.drift import ORDER

    objects: dict[str, tuple[str, str]] = {}
    for mark in reference().held(tmp_path / "bundle").marks:
        if mark.name == "drifted" and mark.data["environment"] == "dev":
            objects[mark.data["case"]] = (mark.data["kind"], mark.data["object"])
    assert sorted(objects) == sorted(ORDER)
    for before, after in itertools.pairwise(ORDER):
        assert objects[before] != objects[after]


def test_that_something_is_unwell_is_no_word_about_what_was_changed() -> None:
    from graders.lab2.checks.drift import tells_of

    changed = {"kind": "Deployment", "object": "web", "environment": "dev"}
    caused = "(Caused by apps/Deployment:web/web)"
    for message, told in (
        (f"Updated health status: Healthy -> Progressing {caused}", False),
        (f"Updated sync status: Synced -> OutOfSync {caused}", True),
    ):
        event = {"kind": "Event", "involvedObject": {"kind": "Application", "name": "web-dev"}}
        assert tells_of({**event, "message": message}, changed, {}) is told
