"""The lanes of lab 3: which there are, on which cluster, and what is done there."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from graders.clusters.provider import ClusterSpec
from graders.faults import BadSubmission, InfraFault
from graders.kube.client import ApiRefused
from graders.lab3.environment.bringup import bring_up
from graders.lab3.environment.cluster import cluster_spec
from graders.lab3.environment.context import LaneContext, LaneEnvironment
from graders.lab3.environment.lane import Lane
from graders.lab3.names import AUDITS, CONTROL_PLANE, DR_USER, EXPERIMENTS, NAMESPACE, OVER, WORKLOAD
from graders.lab3.runtimes import CHAOS, HUNTER
from graders.lab3.tracks.audits import audits
from graders.lab3.tracks.controlplane import control_plane
from graders.lab3.tracks.experiments import experiments
from graders.lab3.tracks.namespace import namespace
from graders.lab3.tracks.workload import workload
from graders.model import Role
from graders.runbooks.tools import ETCD_TOOLS
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.lanes import ClusterLane, LaneCluster, NothingToShow
from graders.scenario.recordledger import LedgerRefused
from graders.scenario.spec import Run
from graders.submissions.manifests import Manifest, load_manifests
from graders.tools import ensure

AT_ONCE = 2


def _recovering(what: Callable[[Lane], None]) -> Callable[[LaneContext], None]:
    """A lane that is watched, written to and backed up while `what` is done.

    Where the runbook leaves a cluster with which nothing more can be done, or something that was handed in
    forbids it, the lane is over.
    """

    def act(context: LaneContext) -> None:
        with bring_up(context) as lane:
            try:
                what(lane)
            except (InfraFault, ApiRefused) as error:
                if not isinstance(error, LedgerRefused) and not lane.left_so():
                    raise
                lane.mark(OVER, why=str(error)[:500])

    return act


LANES: dict[str, tuple[str, Callable[[LaneContext], None]]] = {
    WORKLOAD: ("pods, a zone and controllers are lost", _recovering(workload)),
    NAMESPACE: ("the namespace is deleted", _recovering(namespace)),
    CONTROL_PLANE: ("the control plane is lost", _recovering(control_plane)),
    EXPERIMENTS: ("experiments", experiments),
    AUDITS: ("audits", audits),
}
"""By track: what is told of it, and what is done there; what takes longest begins first."""


@contextmanager
def ready_lanes(run: Run, selection: Collection[str]) -> Iterator[dict[str, ClusterLane]]:
    """Have programs and runtimes for the lanes of a selection; while the block runs, they can act.

    Raises:
        InfraFault: something cannot be had.
    """

    def spec(name: str) -> ClusterSpec:
        return cluster_spec(name, run.settings.nodes, run.settings.needs)

    with run.fleet.ready(spec(CONTROL_PLANE)):
        runtime = ensure_runtime(run.progress)
        chaos, hunter = (ensure_runtime(run.progress, lock=lock) for lock in (CHAOS, HUNTER))
        environment = LaneEnvironment(
            sandbox=run.sandbox,
            runtime=runtime,
            tools=ensure(ETCD_TOOLS, run.progress),
            submission=run.submission.root,
            limits=run.settings.limits,
            folder=run.session.folder / "lanes",
            user=DR_USER,
            chaos=chaos,
            hunter=hunter,
            tool_limits=run.settings.tool_limits,
        )
        environment.programs()

        def acting(what: Callable[[LaneContext], None]) -> Callable[[LaneCluster], None]:
            return lambda there: what(_context(run, environment, there))

        yield {
            track: ClusterLane(title, spec, acting(what))
            for track, (title, what) in LANES.items()
            if track in selection
        }


def _context(run: Run, environment: LaneEnvironment, there: LaneCluster) -> LaneContext:
    run.recording.note_actor(DR_USER, Role.LEARNER)
    return LaneContext(
        **vars(there),
        environment=environment,
        wanted=run.submission.manifest,
        manifests=_manifests(run, environment, there.track),
        nodes=run.settings.nodes,
        with_neighbour=there.track == NAMESPACE,
    )


def _manifests(run: Run, environment: LaneEnvironment, track: str) -> tuple[Manifest, ...]:
    if track == AUDITS:
        return ()
    files = run.submission.manifest.workload
    try:
        return load_manifests(environment.submission, files, kubectl=environment.kubectl)
    except BadSubmission as error:
        run.recording.mark(track, "workload", problem=str(error))
        raise NothingToShow(str(error)) from error
