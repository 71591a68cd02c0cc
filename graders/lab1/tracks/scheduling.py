"""Where pods may run: gangs that find too little room, and what a template says about places."""

from collections.abc import Mapping
from typing import Any

from graders.lab1.api import container, is_true, job_manifest, phase, status_field
from graders.lab1.jobscontext import JobsContext, describe
from graders.lab1.tracks.rooms import (
    POOL,
    PoolNode,
    cordon,
    create_blocker,
    create_class,
    create_pool,
    delete_blocker,
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


def gang(context: JobsContext) -> None:
    """Four pods and three places; then four; then one fails, and there is no place for another.

    At last a gang of five that needs three, with places for four, and the first one resumed beside it.
    """
    namespace = context.namespace()
    reserved = {"key": RESERVED, "value": "gangs", "effect": "NoSchedule"}
    broken = {"key": "kubeproof.dev/broken", "effect": "NoSchedule"}
    slow = {"key": "kubeproof.dev/slow", "effect": "PreferNoSchedule"}
    nodes = create_pool(
        context,
        PoolNode("zone-a", 2, {"taints": [reserved]}),
        PoolNode("zone-b", 2, {"taints": [slow]}),
        PoolNode("zone-a", 4, {"unschedulable": True}),
        PoolNode("zone-b", 4, {"taints": [broken]}),
    )
    create_blocker(context, nodes[1], gpus=1)
    delete_blocker(context)
    since = context.now()
    # Equal is what a toleration is that does not say which.
    tolerant = {"tolerations": [reserved]}
    _create_gang(context, GANG, nodes=4, min_available=4, spec=tolerant)
    context.await_notice(namespace, since)
    _hold(context, GANG)
    make_room(context)
    context.wait_running(namespace, GANG, 4)
    context.settle(namespace)
    context.mark("gang-runs", namespace=namespace, job=GANG)
    _fail_one(context, nodes[:2])
    _run_in_part(context, tolerant)
    context.mark("end", namespace=namespace)


def rival_gangs(context: JobsContext) -> None:
    """Two gangs of three and places for four, which become free all at once."""
    namespace = context.namespace()
    nodes = create_pool(context, PoolNode("zone-a", 2), PoolNode("zone-b", 2))
    create_blocker(context, nodes[0], gpus=2)
    since = context.now()
    # More than there are nodes means all of them.
    for name, min_available in zip(RIVALS, (3, 5), strict=True):
        _create_gang(context, name, nodes=3, min_available=min_available)
    context.await_notice(namespace, since)
    _hold(context, *RIVALS)
    make_room(context)
    first = context.wait("one of the two gangs to run with all its three pods", lambda: _first(context))
    second = next(name for name in RIVALS if name != first)
    _hold(context, second)
    context.mark("first-ends", namespace=namespace, first=first, second=second)
    for pod in context.pod_names(namespace, first):
        context.end_pod(namespace, pod, "0")
    context.wait_pods(namespace, second, 3)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def placement(context: JobsContext) -> None:
    """A template with a spread over two zones, GPUs and a priority; and one that leaves the priority out."""
    namespace = context.namespace()
    nodes = {"zone-a": 4, "zone-b": 2}
    names = create_pool(context, *(PoolNode(zone, gpus) for zone, gpus in nodes.items()))
    classes = {name: create_class(context, name, value) for name, value in CLASSES.items()}
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
    context.mark(
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
        context.create(manifest)
    context.wait_pods(namespace, SPREAD, 4)
    context.wait_pods(namespace, PLAIN, 1)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def _create_gang(
    context: JobsContext, name: str, *, nodes: int, min_available: int, spec: Mapping[str, Any] | None = None
) -> None:
    namespace = context.namespace()
    manifest = job_manifest(
        namespace,
        name,
        nodes=nodes,
        run_policy={"schedulingPolicy": {"minAvailable": min_available}},
        containers=[gpu_container()],
    )
    # What an init container asks for it takes before the others start, and no more than they.
    fetch = {**gpu_container(), "name": "fetch"}
    more = {"nodeSelector": {POOL: namespace}, "initContainers": [fetch], **(spec or {})}
    context.create(_with_template(manifest, spec=more))


def _hold(context: JobsContext, *jobs: str) -> None:
    """Give the operator time to do something rash, and see that it looked at these jobs once more."""
    since = context.now()
    context.settle(context.namespace())
    for name in jobs:
        context.looked_at(context.namespace(), name)
    context.settle(context.namespace())

    def over() -> None:
        if context.now() < since + HOLD_S:
            raise NotYet("the time is not over")

    context.wait("some time to pass", over)


def _first(context: JobsContext) -> str:
    namespace = context.namespace()
    running = {
        name: sum(phase(pod) == "Running" for pod in context.pods(namespace, name).values())
        for name in RIVALS
    }
    for name, count in running.items():
        if count == 3:
            return name
    raise NotYet(", ".join(f"{count} pods of {name} run" for name, count in running.items()))


def _fail_one(context: JobsContext, nodes: list[str]) -> None:
    """One pod of the running gang fails, and while the nodes are closed nothing can take its place."""
    namespace = context.namespace()
    victim, lost = context.pod(namespace, GANG, -1)
    before = context.pods(namespace, GANG)
    cordon(context, nodes)
    failed = context.mark("failure", namespace=namespace, pod=victim)
    context.end_pod(namespace, victim, "1")
    context.await_notice(namespace, failed)

    # Whether a failed pod is replaced at all is another track's business; so is when, if there is no place.
    context.settle(namespace)
    uids = {pod["metadata"]["uid"] for pod in context.pods(namespace, GANG).values()}
    stays = len(uids) == len(before) and lost not in uids
    survivors = {name: pod["metadata"]["uid"] for name, pod in before.items() if name != victim}
    context.mark("one-failed", namespace=namespace, victim=victim, survivors=survivors)
    uncordon(context, nodes)
    if stays:
        context.wait_pods(namespace, GANG, len(before))
        context.settle(namespace)


def _run_in_part(context: JobsContext, spec: Mapping[str, Any]) -> None:
    """A gang with a minAvailable below its size runs without those that find no place.

    One of them fails; then it is made smaller, which leaves one place for the four pods of the other.
    """
    namespace = context.namespace()
    context.change(namespace, GANG, {"spec": {"runPolicy": {"suspend": True}}}, "suspend")
    # Whether a suspended job's pods go is another track's business; until then there is no room.
    if not context.reached(f"the pods of {GANG} to be gone", lambda: _expect_no_pods(context)):
        return
    _create_gang(context, LOOSE, nodes=5, min_available=3, spec=spec)
    context.reached("three pods of the gang to run", lambda: _run_at_least(context, 3))
    context.reached(f"the job {LOOSE}: Running is True", lambda: _expect_running(context, namespace, LOOSE))
    context.settle(namespace)
    context.mark("in-part", namespace=namespace, job=LOOSE)
    running = [name for name, pod in context.pods(namespace, LOOSE).items() if phase(pod) == "Running"]
    for name in running[:1]:
        context.end_pod(namespace, name, "137")
    context.noticed(namespace, LOOSE, "restarts: 1", lambda job: status_field(job, "restarts") == 1)
    context.change(namespace, LOOSE, {"spec": {"trainer": {"numNodes": 3}}}, "shrink")
    resumed = context.now()
    context.change(namespace, GANG, {"spec": {"runPolicy": {"suspend": False}}}, "resume")
    context.await_notice(namespace, resumed)
    context.settle(namespace)


def _expect_no_pods(context: JobsContext) -> None:
    left = context.env.watches.objects("pods", context.namespace())
    if left:
        raise NotYet(f"{', '.join(sorted(left))} are there")


def _run_at_least(context: JobsContext, wanted: int) -> None:
    running = sum(phase(pod) == "Running" for pod in context.pods(context.namespace(), LOOSE).values())
    if running < wanted:
        raise NotYet(f"{running} pods of {LOOSE} run")


def _expect_running(context: JobsContext, namespace: str, name: str) -> None:
    job = context.the_job(namespace, name)
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
