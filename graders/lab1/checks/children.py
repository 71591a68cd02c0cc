"""Children and owners."""

from collections.abc import Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Object
from graders.judging import Facts, Findings, check
from graders.lab1.api import JOB_NAME, QUEUE, REPLICA_INDEX
from graders.lab1.names import LEAST
from graders.lab1.template import lost
from graders.lab1.trackrecord import JobsRecord, track_record


@check("creates-pods", tracks=("create",), hint="Name pods <job>-<index>, from 0 to numNodes-1.")
def check_creates_pods(bundle: Bundle, facts: Facts) -> None:
    """A job of four nodes gets exactly its four pods, with labels and variables, and a headless Service."""
    story = track_record(bundle, "create", hint="Look at what the operator does when it first sees a job.")
    least = next((str(m.data["job"]) for m in story.all("create") if m.data["job"] != "bert"), LEAST)
    of_least = story.pod_creates(least)
    creates = [event for event in story.pod_creates() if event not in of_least]
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
        _expect_service(found, story, pods)
        ports = {
            _environment(c).get("PET_MASTER_PORT") for p in pods.values() for c in p["spec"]["containers"]
        }
        found.expect(len(ports) <= 1, "one PET_MASTER_PORT for all pods", f"{len(ports)}: {ports}")
        if any(mark.data["job"] == least for mark in story.all("create")):
            found.equal(f"pods of {least}:", f"{least}-0", ", ".join(p.name for p in story.pods(least)))
        for asked in story.all("asked"):
            _expect_template(found, asked.data["job"]["spec"]["trainer"]["template"], pods)
            queue = asked.data["job"]["metadata"]["labels"][QUEUE]
            labels = story.job("bert").last["metadata"].get("labels") or {}
            found.equal(f"the job's own label {QUEUE}", queue, labels.get(QUEUE))


def _expect_pod(found: Findings, pod: Object, index: int) -> None:
    name, spec = pod["metadata"]["name"], pod["spec"]
    labels = pod["metadata"].get("labels") or {}
    found.equal(f"{name}: label {JOB_NAME}", "bert", labels.get(JOB_NAME))
    found.equal(f"{name}: label {REPLICA_INDEX}", str(index), labels.get(REPLICA_INDEX))
    found.equal(f"{name}: restartPolicy", "Never", spec.get("restartPolicy"))
    found.expect(
        (spec.get("hostname"), spec.get("subdomain")) == (name, "bert"),
        f"{name} with its own name as hostname and the Service's as subdomain",
        f"{name} has hostname {spec.get('hostname')!r}, subdomain {spec.get('subdomain')!r}",
        "The DNS knows a pod as HOSTNAME.SUBDOMAIN, and PET_MASTER_ADDR begins with <job>-0.<job>.",
    )
    found.equal(f"{name}: containers", ["trainer", "sidecar"], [c["name"] for c in spec["containers"]])
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
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


def _expect_template(found: Findings, template: Mapping[str, Any], pods: Mapping[str, Object]) -> None:
    """What the operator does not set itself is as in the template."""
    missing: dict[str, list[str]] = {}
    for name, pod in sorted(pods.items()):
        for words in lost(template, pod):
            missing.setdefault(words, []).append(name)
    for words, names in missing.items():
        found.miss(
            f"{', '.join(names)}: {words}",
            "all that the template sets, unchanged in the pods",
            "Copy the template as a whole, its metadata and each variable too, and add to it.",
        )


def _environment(container: Mapping[str, Any]) -> dict[str, Any]:
    """The variables a kubelet would set: of two of one name the later wins."""
    return {entry["name"]: entry.get("value") for entry in container.get("env") or ()}


def _expect_service(found: Findings, story: JobsRecord, pods: Mapping[str, Object]) -> None:
    services = {life.name: life.first for life in story.histories("services")}
    if found.expect("bert" in services, "a Service bert", f"Services: {', '.join(services) or 'none'}"):
        spec = services["bert"]["spec"]
        found.equal(
            "Service bert: clusterIP", "None", spec.get("clusterIP"), "A headless Service has clusterIP None."
        )
        selector = spec.get("selector") or {}
        labels = [(pod["metadata"].get("labels") or {}).items() for pod in pods.values()]
        found.expect(
            selector and all(selector.items() <= own for own in labels),
            "Service bert with a selector that its pods' labels match",
            f"its selector is {selector}",
        )


@check("owner-gc", tracks=("delete",), hint="Set a controller owner reference to the job on every child.")
def check_owner_gc(bundle: Bundle, facts: Facts) -> None:
    """Pods and Service are owned by their job and go with it."""
    story = track_record(
        bundle, "delete", hint="Children go by garbage collection when they carry an owner reference."
    )
    job = story.job("gone")
    deleted = story.mark("delete-job").t
    children = story.histories("pods") + story.histories("services")
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
            len(story.histories("pods")) >= 2 and story.histories("services"),
            "two pods and a Service to judge by",
            "children " + (", ".join(child.name for child in children) or "none"),
        )
    facts["gone_after_s"] = round(max(child.gone or 0.0 for child in children) - deleted, 2)
