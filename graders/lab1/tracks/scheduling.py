"""Where pods may run: gangs that find too little room, and what a template says about places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graders.lab1.api import container, is_true, job_manifest, phase
from graders.lab1.stage import Stage, describe
from graders.lab1.tracks.rooms import (
    POOL,
    PoolNode,
    cordon,
    create_blocker,
    create_class,
    create_pool,
    gpu_container,
    make_room,
    uncordon,
)
from graders.polling import NotYet

RESERVED = "kubeproof.dev/reserved"
"""The key of a taint that pods of the gang tolerate."""

HOLD_S = 4.0
"""Longer than operators usually rest between two looks; one that gives up waiting shows it."""

GANG = "wide"
LOOSE = "loose"
"""A gang that may run with fewer pods than it has nodes."""
RIVALS = ("red", "blue")
SPREAD, PLAIN = "spread", "plain"

CLASSES = {"urgent": 2000, "usual": 1000}
"""Priority classes by what a job calls them, with their value."""


def gang(stage: Stage) -> None:
    """Four pods and three places; then four; then one fails, and there is no place for another.

    At last a gang of five that needs three, with places for four.
    """
    namespace = stage.namespace()
    reserved = {"key": RESERVED, "value": "gangs", "effect": "NoSchedule"}
    broken = {"key": "kubeproof.dev/broken", "effect": "NoSchedule"}
    nodes = create_pool(
        stage,
        PoolNode("zone-a", 2, {"taints": [reserved]}),
        PoolNode("zone-b", 2),
        PoolNode("zone-a", 4, {"unschedulable": True}),
        PoolNode("zone-b", 4, {"taints": [broken]}),
    )
    create_blocker(stage, nodes[1], gpus=1)
    since = stage.now()
    tolerant = {"tolerations": [{**reserved, "operator": "Equal"}]}
    _create_gang(stage, GANG, nodes=4, min_available=4, spec=tolerant)
    stage.await_notice(namespace, since)
    _hold(stage)
    make_room(stage)
    stage.wait_pods(namespace, GANG, 4)
    stage.settle(namespace)
    stage.mark("gang-runs", namespace=namespace, job=GANG)
    _fail_one(stage, nodes[:2])
    _run_in_part(stage, tolerant)
    stage.mark("end", namespace=namespace)


def rival_gangs(stage: Stage) -> None:
    """Two gangs of three and places for four, which become free all at once."""
    namespace = stage.namespace()
    nodes = create_pool(stage, PoolNode("zone-a", 2), PoolNode("zone-b", 2))
    create_blocker(stage, nodes[0], gpus=2)
    since = stage.now()
    # More than there are nodes means all of them.
    for name, min_available in zip(RIVALS, (3, 5), strict=True):
        _create_gang(stage, name, nodes=3, min_available=min_available)
    stage.await_notice(namespace, since)
    _hold(stage)
    make_room(stage)
    first = stage.wait("one of the two gangs to run with all its three pods", lambda: _first(stage))
    second = next(name for name in RIVALS if name != first)
    _hold(stage)
    stage.mark("first-ends", namespace=namespace, first=first, second=second)
    for pod in stage.pod_names(namespace, first):
        stage.end_pod(namespace, pod, "0")
    stage.wait_pods(namespace, second, 3)
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def placement(stage: Stage) -> None:
    """A template with a spread over two zones, GPUs and a priority; and one that leaves the priority out."""
    namespace = stage.namespace()
    nodes = {"zone-a": 4, "zone-b": 2}
    names = create_pool(stage, *(PoolNode(zone, gpus) for zone, gpus in nodes.items()))
    classes = {name: create_class(stage, name, value) for name, value in CLASSES.items()}
    spread = _with_template(
        job_manifest(
            namespace,
            SPREAD,
            nodes=4,
            run_policy={"schedulingPolicy": {"priorityClass": classes["usual"]}},
            containers=[gpu_container(), container("sidecar")],
        ),
        labels={"app": SPREAD},
        spec={
            "nodeSelector": {POOL: namespace},
            "priorityClassName": classes["urgent"],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"app": SPREAD}},
                }
            ],
        },
    )
    policy = {"schedulingPolicy": {"priorityClass": classes["usual"]}}
    plain = job_manifest(namespace, PLAIN, nodes=1, run_policy=policy)
    stage.mark(
        "asked",
        namespace=namespace,
        template=spread["spec"]["trainer"]["template"],
        classes={name: {"name": classes[name], "value": value} for name, value in CLASSES.items()},
        nodes={
            name: {"zone": zone, "gpus": gpus}
            for name, (zone, gpus) in zip(names, nodes.items(), strict=True)
        },
    )
    for manifest in (spread, plain):
        stage.create(manifest)
    stage.wait_pods(namespace, SPREAD, 4)
    stage.wait_pods(namespace, PLAIN, 1)
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def _create_gang(
    stage: Stage, name: str, *, nodes: int, min_available: int, spec: Mapping[str, Any] | None = None
) -> None:
    namespace = stage.namespace()
    manifest = job_manifest(
        namespace,
        name,
        nodes=nodes,
        run_policy={"schedulingPolicy": {"minAvailable": min_available}},
        containers=[gpu_container()],
    )
    stage.create(_with_template(manifest, spec={"nodeSelector": {POOL: namespace}, **(spec or {})}))


def _hold(stage: Stage) -> None:
    """Give the operator time to do something rash."""
    since = stage.now()
    stage.settle(stage.namespace())

    def over() -> None:
        if stage.now() < since + HOLD_S:
            raise NotYet("the time is not over")

    stage.wait("some time to pass", over)


def _first(stage: Stage) -> str:
    namespace = stage.namespace()
    running = {
        name: sum(phase(pod) == "Running" for pod in stage.pods(namespace, name).values()) for name in RIVALS
    }
    for name, count in running.items():
        if count == 3:
            return name
    raise NotYet(", ".join(f"{count} pods of {name} run" for name, count in running.items()))


def _fail_one(stage: Stage, nodes: list[str]) -> None:
    """One pod of the running gang fails, and while the nodes are closed nothing can take its place."""
    namespace = stage.namespace()
    before = stage.pods(namespace, GANG)
    victim = sorted(before)[-1]
    lost = before[victim]["metadata"]["uid"]
    cordon(stage, nodes)
    failed = stage.mark("failure", namespace=namespace, pod=victim)
    stage.end_pod(namespace, victim, "1")
    stage.await_notice(namespace, failed)

    def replaced() -> None:
        uids = {pod["metadata"]["uid"] for pod in stage.pods(namespace, GANG).values()}
        if len(uids) != len(before) or lost in uids:
            raise NotYet(f"{len(uids)} pods")

    # Whether a failed pod is replaced at all is another track's business.
    stays = stage.reached("a pod in place of the failed one", replaced)
    stage.settle(namespace)
    survivors = {name: pod["metadata"]["uid"] for name, pod in before.items() if name != victim}
    stage.mark("one-failed", namespace=namespace, victim=victim, survivors=survivors)
    uncordon(stage, nodes)
    if stays:
        stage.wait_pods(namespace, GANG, len(before))
        stage.settle(namespace)


def _run_in_part(stage: Stage, spec: Mapping[str, Any]) -> None:
    """A gang with a minAvailable below its size runs without those that find no place."""
    namespace = stage.namespace()
    stage.delete_job(namespace, GANG)
    # Whether a deleted job's pods go is another track's business; until then there is no room.
    if not stage.reached(f"the pods of {GANG} to be gone", lambda: _expect_no_pods(stage)):
        return
    _create_gang(stage, LOOSE, nodes=5, min_available=3, spec=spec)
    stage.reached("three pods of the gang to run", lambda: _run_at_least(stage, 3))
    stage.reached(f"the job {LOOSE}: Running is True", lambda: _expect_running(stage, namespace, LOOSE))
    stage.settle(namespace)
    stage.mark("in-part", namespace=namespace, job=LOOSE)


def _expect_no_pods(stage: Stage) -> None:
    left = stage.world.watches.objects("pods", stage.namespace())
    if left:
        raise NotYet(f"{', '.join(sorted(left))} are there")


def _run_at_least(stage: Stage, wanted: int) -> None:
    running = sum(phase(pod) == "Running" for pod in stage.pods(stage.namespace(), LOOSE).values())
    if running < wanted:
        raise NotYet(f"{running} pods of {LOOSE} run")


def _expect_running(stage: Stage, namespace: str, name: str) -> None:
    job = stage.the_job(namespace, name)
    if not is_true(job, "Running"):
        raise NotYet(describe(job))


def _with_template(
    manifest: dict[str, Any], *, spec: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The job with more in the spec and the labels of its template."""
    template = manifest["spec"]["trainer"]["template"]
    template["spec"] |= spec
    if labels:
        template["metadata"] = {"labels": dict(labels)}
    return manifest
