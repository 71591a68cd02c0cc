"""A cluster of real nodes with the submission in it: guards, recorders, images on the nodes, namespaces."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graders.clusters.confinement import REAL, NamespaceBounds, confine
from graders.clusters.containment import forbid_escapes
from graders.evidence.auditing import AuditRecorder
from graders.evidence.health import Health
from graders.evidence.recording import Recording, measure
from graders.evidence.watching import WatchRecorder
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.lab1 import install
from graders.lab1.api import API_VERSION, JOB_NAME, PLURAL, pods_path
from graders.lab1.incluster.image import OperatorImage
from graders.lab1.incluster.training import own_pod
from graders.lab1.manifest import Lab1Manifest
from graders.model import RealNodes
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.fleet import LiveCluster
from graders.scenario.namespaces import create_namespaces
from graders.scenario.spec import Run
from graders.submissions.manifests import Manifest

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}

JOBS = ("train", "told", "broken")
"""Names of the jobs: pods of one may speak with each other."""

STARTS_WITHIN_S = 180.0
"""A cluster that needs longer for a pod cannot show anything."""

STARTS_FACTOR = 4.0
REACTS_FACTOR = 3.0
"""How many times the base of T an operator gets that starts cold and shares the machine with its jobs."""

_WATCHED = {
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "deployments": "/apis/apps/v1/deployments",
    "nodes": "/api/v1/nodes",
}


@dataclass(frozen=True)
class RealPodsEnvironment:
    """What the track acts in. `namespace` is where jobs are, `own_namespace` the grader's.

    `starts_s` is how long a pod took from its creation to Running, `deadline_s` how long an operator has to
    react and a pod to start.
    """

    kube: Kube
    recording: Recording
    audit: AuditRecorder
    watches: WatchRecorder
    health: Health
    nodes: RealNodes
    user: str
    manifests: Sequence[Manifest]
    wanted: Lab1Manifest
    image: OperatorImage
    namespace: str
    own_namespace: str
    starts_s: float
    deadline_s: float

    def control_pod(self) -> str:
        """Control probe: does a pod of the grader's own still start, and know names? Says what is wrong."""
        try:
            await_names(self.kube, self.own_namespace, self.image.training)
            took_s = start_pod(self.kube, self.own_namespace, self.image.training)
        except InfraFault as fault:
            return fault.problem
        limit_s = STARTS_FACTOR * self.starts_s + 10.0
        return f"a pod of the grader's own took {took_s:.0f} s to start" if took_s > limit_s else ""


@contextlib.contextmanager
def open_real_environment(
    run: Run,
    manifests: Sequence[Manifest],
    image: OperatorImage,
    live: LiveCluster,
    jobs: str,
) -> Iterator[RealPodsEnvironment]:
    """Install the submission, but for its Deployments, and watch while the block runs; `jobs` is a namespace.

    Raises:
        BadSubmission: the cluster refuses what was handed in. InfraFault: the harness failed.
    """
    cluster, kube, watches = live.cluster, live.kube, live.watches
    wanted: Lab1Manifest = run.submission.manifest
    if cluster.real_nodes is None:
        raise InfraFault(f"provider {cluster.provider} gives no access to its nodes")
    with run.progress.task("bringing images to the nodes"):
        cluster.real_nodes.load(image.reference, image.training)
    base_s = run.settings.deadline_s
    for resource, path in _WATCHED.items():
        watches.follow(resource, path)
    with run.progress.task("installing manifests on real nodes"):
        forbid_escapes(kube)
        install.install(kube, manifests, wanted, None, base_s)
        watches.follow(PLURAL, resource_path(API_VERSION, PLURAL))
        own = f"{jobs}-own"
        create_namespaces(kube, (jobs, own), base_s)
        _confine(kube, manifests, wanted, jobs)
    with run.progress.task("measuring how long a real pod takes to start"):
        await_names(kube, own, image.training)
        starts_s = start_pod(kube, own, image.training)
    yield RealPodsEnvironment(
        kube=kube,
        recording=run.recording,
        audit=live.audit,
        watches=watches,
        health=Health(run.session.harness, live.health),
        nodes=cluster.real_nodes,
        user=install.operator_user(wanted),
        manifests=manifests,
        wanted=wanted,
        image=image,
        namespace=jobs,
        own_namespace=own,
        starts_s=starts_s,
        deadline_s=round(REACTS_FACTOR * base_s + STARTS_FACTOR * starts_s, 1),
    )


def _confine(kube: Kube, manifests: Sequence[Manifest], wanted: Lab1Manifest, jobs: str) -> None:
    spaces = sorted(install.namespaces_of(manifests, wanted))
    talking = NamespaceBounds(REAL.hard, REAL.defaults, api=True)
    training = NamespaceBounds(REAL.hard, REAL.defaults, peers=[{JOB_NAME: name} for name in JOBS])
    for space, bounds in [*((space, talking) for space in spaces), (jobs, training)]:
        # The grader's word comes last, whatever labels a submission gave its namespaces.
        kube.patch(resource_path("v1", "namespaces", name=space), {"metadata": {"labels": RESTRICTED}})
        confine(kube, space, bounds)


def start_pod(kube: Kube, namespace: str, image: str) -> float:
    """Seconds that a pod of the grader's own takes to run; it is removed again.

    Raises:
        InfraFault: it does not run.
    """
    return _own_pod(kube, namespace, image, "Running")


def await_names(kube: Kube, namespace: str, image: str) -> None:
    """Wait until a pod of the grader's own finds the API server by its name: the name service begins empty.

    Raises:
        InfraFault: it does not.
    """
    _own_pod(kube, namespace, image, "Succeeded", "resolve", "kubernetes.default.svc")


def _own_pod(kube: Kube, namespace: str, image: str, wanted: str, *how: str) -> float:
    path, name = pods_path(namespace), f"own-{uuid.uuid4().hex[:8]}"

    def reached() -> None:
        phase = kube.get(f"{path}/{name}").get("status", {}).get("phase")
        if phase != wanted:
            raise NotYet(f"a pod of the grader's own is {phase}, not {wanted}")

    def once() -> None:
        kube.create(path, own_pod(name, image, *how))
        wait_for(reached, timeout_s=STARTS_WITHIN_S, interval_s=0.1)

    try:
        return round(measure(once), 2)
    except TimedOut as error:
        raise InfraFault(f"{error} within {STARTS_WITHIN_S:g} s") from error
    finally:
        kube.request("DELETE", f"{path}/{name}", query={"gracePeriodSeconds": 0})
