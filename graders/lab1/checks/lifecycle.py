"""Children, owners, sizes, pauses and ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Object
from graders.judging import Facts, Findings, check
from graders.lab1.api import JOB_NAME, REPLICA_INDEX, index_of, is_terminating, is_true, phase, status_field
from graders.lab1.story import Story, index_name, told

PET = ("PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT")


@check("creates-pods", tracks=("create",), hint="Name pods <job>-<index>, from 0 to numNodes-1.")
def check_creates_pods(bundle: Bundle, facts: Facts) -> None:
    """A job of four nodes gets exactly its four pods, with labels and variables, and a headless Service."""
    story = told(bundle, "create", hint="Look at what the operator does when it first sees a job.")
    creates = story.pod_creates()
    facts["pod_creates"] = len(creates)
    pods = {life.name: life.first for life in story.pods("bert")}
    wanted = [f"bert-{index}" for index in range(4)]
    with Findings(hint="The lab text lists names, labels and variables under Children.") as found:
        found.equal("pods", ", ".join(wanted), ", ".join(sorted(pods)))
        found.equal(
            "successful pod creates:", 4, len(creates), "Create each index once; look before you create."
        )
        for index, name in enumerate(wanted):
            if name in pods:
                _expect_pod(found, pods[name], index)
        _expect_service(found, story)


def _expect_pod(found: Findings, pod: Object, index: int) -> None:
    name, spec = pod["metadata"]["name"], pod["spec"]
    labels = pod["metadata"].get("labels") or {}
    found.equal(f"{name}: label {JOB_NAME}", "bert", labels.get(JOB_NAME))
    found.equal(f"{name}: label {REPLICA_INDEX}", str(index), labels.get(REPLICA_INDEX))
    found.equal(f"{name}: restartPolicy", "Never", spec.get("restartPolicy"))
    found.expect(
        spec.get("hostname") and spec.get("subdomain"),
        f"{name} with hostname and subdomain set",
        f"{name} has hostname {spec.get('hostname')!r}, subdomain {spec.get('subdomain')!r}",
    )
    found.equal(f"{name}: containers", ["trainer", "sidecar"], [c["name"] for c in spec["containers"]])
    for container in spec["containers"]:
        env = _environment(container)
        where = f"{name}, container {container['name']}:"
        found.equal(
            f"{where} PET_NNODES",
            "4",
            env.get("PET_NNODES"),
            "The operator's value wins over the template's.",
        )
        found.equal(f"{where} PET_NODE_RANK", str(index), env.get("PET_NODE_RANK"))
        found.expect(
            str(env.get("PET_MASTER_ADDR", "")).startswith("bert-0.bert"),
            f"{where} PET_MASTER_ADDR beginning with bert-0.bert",
            f"{where} PET_MASTER_ADDR {env.get('PET_MASTER_ADDR')!r}",
        )
        found.expect(
            str(env.get("PET_MASTER_PORT", "")).isdigit(),
            f"{where} PET_MASTER_PORT a port number",
            f"{where} PET_MASTER_PORT {env.get('PET_MASTER_PORT')!r}",
        )
        own = ("LEARNING_RATE", "0.1") if container["name"] == "trainer" else ("ROLE", "sidecar")
        found.equal(f"{where} {own[0]}", own[1], env.get(own[0]), "Keep the template's own variables.")


def _environment(container: Mapping[str, Any]) -> dict[str, Any]:
    """The variables a kubelet would set: of two of one name the later wins."""
    return {entry["name"]: entry.get("value") for entry in container.get("env") or ()}


def _expect_service(found: Findings, story: Story) -> None:
    services = {life.name: life.first for life in story.lives("services")}
    if found.expect("bert" in services, "a Service bert", f"Services: {', '.join(services) or 'none'}"):
        spec = services["bert"]["spec"]
        found.equal(
            "Service bert: clusterIP", "None", spec.get("clusterIP"), "A headless Service has clusterIP None."
        )


@check("owner-gc", tracks=("delete",), hint="Set a controller owner reference to the job on every child.")
def check_owner_gc(bundle: Bundle, facts: Facts) -> None:
    """Pods and Service are owned by their job and go with it."""
    story = told(
        bundle, "delete", hint="Children go by garbage collection when they carry an owner reference."
    )
    job = story.job("gone")
    deleted = story.mark("delete-job").t
    children = story.lives("pods") + story.lives("services")
    with Findings() as found:
        for child in children:
            kind = child.first.get("kind") or ("Pod" if "containers" in child.first["spec"] else "Service")
            owners = child.first["metadata"].get("ownerReferences") or []
            found.expect(
                any(o.get("uid") == job.uid and o.get("controller") for o in owners),
                f"{kind} {child.name} with a controller owner reference to the job",
                f"{kind} {child.name} has owner references {[o.get('kind') for o in owners]}, not that",
            )
        found.expect(
            len(story.lives("pods")) >= 2 and story.lives("services"),
            "two pods and a Service to judge by",
            "children " + (", ".join(child.name for child in children) or "none"),
        )
    facts["gone_after_s"] = round(max(child.gone or 0.0 for child in children) - deleted, 2)


@check("completion", tracks=("completion",), hint="A job is Complete when every index has succeeded.")
def check_completion(bundle: Bundle, facts: Facts) -> None:
    """A job is Complete when all its pods succeeded, stays so, and cleans up as cleanPodPolicy says."""
    story = told(bundle, "completion")
    last = story.mark("last-succeeds").t
    ended = story.mark("changed-after-end").t
    with Findings() as found:
        for t, job in story.statuses("keeps"):
            if t < last:
                found.expect(
                    not is_true(job, "Complete"),
                    "not Complete before the last pod succeeded",
                    f"Complete was True {last - t:.1f} s before that",
                )
        for name in ("keeps", "cleans"):
            _expect_final(found, story, name)
        final = story.job("keeps").last
        found.equal(
            "keeps: replicaStatuses.succeeded", 3, status_field(final, "replicaStatuses", "succeeded")
        )
        found.expect(
            not is_true(final, "Suspended"),
            "a finished job to stay as it is when suspend is set",
            "Suspended became True after the end",
            "After the end a spec change moves observedGeneration only.",
        )
        late = [event.name for event in story.pod_creates("keeps") if event.t > ended]
        found.expect(
            not late,
            "no pod created after the end",
            f"created {', '.join(late)}",
            "A finished job needs no pods.",
        )
        deleted = story.mark("delete-pod").data["pod"]
        finished = sorted(life.name for life in story.pods("keeps") if life.name != deleted)
        kept = sorted(life.name for life in story.pods("keeps") if life.gone is None)
        found.equal("pods kept by cleanPodPolicy None:", finished, kept)
    facts["completions"] = 2


def _expect_final(found: Findings, story: Story, name: str) -> None:
    """Once Complete, the job never says anything else."""
    complete = False
    for _, job in story.statuses(name):
        if complete and not is_true(job, "Complete"):
            found.miss(f"{name} was Complete and then was not", "a terminal state to be final")
        complete = complete or is_true(job, "Complete")
        found.expect(
            not (is_true(job, "Complete") and is_true(job, "Failed")),
            f"{name} either Complete or Failed",
            f"{name} was both",
        )
    final = story.job(name).last
    found.expect(
        status_field(final, "completionTime"),
        f"{name}: completionTime set",
        f"{name}: completionTime is empty",
    )
    found.expect(
        not is_true(final, "Running"), f"{name}: Running False at the end", f"{name}: Running is still True"
    )


@check(
    "scaling",
    tracks=("scaling",),
    hint="On a change of numNodes, remove the highest indices or add the next.",
)
def check_scaling(bundle: Bundle, facts: Facts) -> None:
    """Pods follow numNodes; the highest indices go first and the others stay untouched."""
    story = told(bundle, "scaling")
    before, shrunk = story.mark("before-scale", 0).data["pods"], story.mark("before-scale", 1).data["pods"]
    end = story.mark("end").data["pods"]
    with Findings() as found:
        indices = _indices(before)
        found.equal("indices after scaling to 2:", indices[:2], _indices(shrunk))
        found.equal("indices after scaling to 4 again:", indices, _indices(end))
        lowest = {pod["uid"] for name, pod in before.items() if index_name(name, pod["index"]) in indices[:2]}
        for moment in (shrunk, end):
            found.expect(
                lowest <= {pod["uid"] for pod in moment.values()},
                "the pods of the lowest indices untouched by scaling",
                "one of them was replaced",
                "Surviving pods stay.",
            )
        creates = len(story.pod_creates("elastic"))
        found.equal("pod creates in all:", 6, creates)
        job = story.job("elastic").last
        found.expect(
            not status_field(job, "restarts"),
            "scaling not counted as restarts",
            f"restarts is {status_field(job, 'restarts')}",
        )
        found.expect(
            not is_true(job, "Failed"),
            "the job not Failed",
            "Failed is True",
            "Deleting a pod is not a failure.",
        )
    facts["pod_creates"] = creates


def _indices(pods: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The indices of a snapshot, lowest first."""
    return sorted(
        (index_name(name, pod["index"]) for name, pod in pods.items()), key=lambda each: (len(each), each)
    )


@check(
    "suspend", tracks=("suspend",), hint="While runPolicy.suspend is true a job has no pods and no startTime."
)
def check_suspend(bundle: Bundle, facts: Facts) -> None:
    """Suspending deletes all pods and clears startTime; resuming starts anew."""
    story = told(bundle, "suspend")
    asked, settled = story.mark("suspend").t, story.mark("suspended").t
    resumed = story.mark("resume").t
    starts = [status_field(job, "startTime") for t, job in story.statuses("paused") if t < asked]
    with Findings() as found:
        pods = story.pods("paused") + (story.pods("partly") if story.all("suspend-partly") else [])
        for life in pods:
            alive = life.at(settled)
            found.expect(
                alive is None or is_terminating(alive),
                "every pod deleted by suspend, finished ones too",
                f"{life.name} ({phase(alive) if alive else ''}) was still there",
            )
        during = [e.name for e in story.pod_creates("paused") if asked + 1 < e.t < resumed]
        found.expect(not during, "no pod created while suspended", f"created {', '.join(during)}")
        final = story.job("paused").last
        began = status_field(final, "startTime")
        found.expect(began, "a startTime after resume", "startTime is empty")
        found.expect(
            not began or began not in starts,
            "a new startTime after resume",
            f"startTime is {began}, as before the pause",
        )
        found.expect(
            not story.pods("born-suspended") and not story.pod_creates("born-suspended"),
            "no pods for a job that is born suspended",
            "it got pods",
        )
        for _, job in story.statuses("born-suspended"):
            found.expect(
                not status_field(job, "startTime"),
                "no startTime for a job that never started",
                f"startTime {status_field(job, 'startTime')}",
            )
        back = {
            index_name(life.name, index_of(life.first)) for life in story.pods("paused") if life.gone is None
        }
        found.equal("replica indices of the pods after resume:", 3, len(back))
        found.expect(
            not status_field(final, "restarts"),
            "pods re-created by resume not counted as restarts",
            f"restarts is {status_field(final, 'restarts')}",
        )
    facts["pods_after_resume"] = len(story.pod_creates("paused")) - 3
