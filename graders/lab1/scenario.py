"""Lab 1's scenario: install, start the operator, run the tracks side by side, one restart in the middle."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from graders.evidence.manifest import Calibration, TrackResult
from graders.faults import InfraFault
from graders.lab1 import goquality, install, quality
from graders.lab1.clearing import clear
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.environments import CalibratedRun, ClusterContext, cluster_spec, open_environment
from graders.lab1.handedin import handed_in
from graders.lab1.incluster import run as incluster
from graders.lab1.jobscontext import JobsContext
from graders.lab1.names import HANDED_IN, IN_CLUSTER, RUN
from graders.lab1.operatorlifecycle import restart, wait_operator
from graders.lab1.preparing import QUALITY, Prepared, is_in, manifests_of, prepared
from graders.lab1.tracks import (
    absence,
    boundaries,
    children,
    crashes,
    deletion,
    disturbed,
    endings,
    failures,
    leadership,
    lifecycle,
    outage,
    policies,
    scheduling,
    signals,
    steadiness,
)
from graders.model import Role, Submission
from graders.sandbox.environments import check_requirements
from graders.sandbox.goversion import check_go_version
from graders.scenario.calibration import calibrate
from graders.scenario.fleet import LiveCluster
from graders.scenario.learner import sandbox_spec
from graders.scenario.pace import wait_turn
from graders.scenario.spec import Acting, Recorded, Run
from graders.scenario.tampering import attributed
from graders.scenario.tracks import RestartGate, Track, run_tracks
from graders.tools.toolchain import pinned_go_version

_TRACKS: tuple[Track[JobsContext], ...] = (
    Track("gang", scheduling.gang, "a gang without room, with it, and after a failure"),
    Track("stale-cache", disturbed.stale_cache, "news of pods five seconds late"),
    Track("new-uid", disturbed.new_uid, "a new job of an old name"),
    Track("missed-events", disturbed.missed_events, "a pod that vanishes unheard"),
    Track("replay", disturbed.replay, "everything told twice"),
    Track("quiet", steadiness.quiet, "settled jobs, left alone and touched"),
    Track("random-walk", steadiness.random_walk, "two jobs led about, against fresh ones"),
    Track("crash-points", crashes.crash_points, "death after every single write", at_barrier=True),
    Track("crd", boundaries.crd_contract, "CRD: defaults, bad specs, edits", needs_operator=False),
    Track("create", children.creates_pods, "a job of four nodes"),
    Track("delete", children.owner_gc, "a deleted job"),
    Track("conditions", lifecycle.conditions, "conditions through a job's life"),
    Track("completion", endings.completion, "pods succeed one by one"),
    Track("scaling", lifecycle.scaling, "eleven nodes, three, five"),
    Track("suspend", lifecycle.suspend, "suspend and resume"),
    Track("exit-codes", failures.exit_codes, "exit codes 1, 137, none"),
    Track("pod-loss", failures.pod_loss, "a deleted and an evicted pod"),
    Track("events", signals.events, "Events for every transition"),
    Track("events-failed", signals.events_of_failure, "Events of a job that fails"),
    Track("isolation", boundaries.isolation, "twins in two namespaces, and a decoy"),
    Track("stranger", boundaries.stranger, "a stranger with a child's name"),
    Track("rival-gangs", scheduling.rival_gangs, "two gangs and room for one"),
    Track("placement", scheduling.placement, "a spread over zones, GPUs and priorities"),
    Track("conflicts", disturbed.conflicts, "others write between read and write"),
    Track("policies", policies.policy_gates, "policies, and pods of a compliant template"),
    Track("retries", failures.retries, "three failures, backoffLimit 2", at_barrier=True),
    Track("deadline", failures.deadline, "activeDeadlineSeconds 5, poked", at_barrier=True),
    Track("ttl", failures.ttl, "ttlSecondsAfterFinished 5", at_barrier=True),
    Track("metrics", signals.metrics, "counters across a restart", at_barrier=True),
    Track("downtime", absence.downtime, "news while the operator is down", at_barrier=True),
    Track("finalizers", deletion.finalizers, "deleted jobs that somebody else holds", at_barrier=True),
    Track("api-outage", outage.api_outage, "half a minute without the API server", exclusive=True),
    Track(
        "leader",
        leadership.leader,
        "two replicas, the leader stopped, then killed",
        exclusive=True,
        replicas=2,
    ),
)
"""They begin in this order: those that take longest come first, and nobody waits for them in the end."""

TRACKS = (*(track.name for track in _TRACKS), IN_CLUSTER, QUALITY, RUN)


ROOMY = 4
"""With so many processors a machine starts real nodes without disturbing what is timed."""

_PARTS = {
    "policies": ("", "plain", "gated"),
    "isolation": ("", "other"),
    "gang": ("", "other"),
    "stale-cache": ("", "calm"),
    "rival-gangs": ("", "other"),
    "random-walk": ("", "fresh", "again"),
    "finalizers": ("", "own"),
}


def examine(submission: Submission) -> None:
    """See that the manifests can be read and hold what is needed, and that what is here can run the rest.

    Raises:
        BadSubmission: names the file and line.
    """
    install.check_kinds(manifests_of(submission), submission.manifest)
    if is_in("python", submission):
        check_requirements(submission.root)
    if is_in("go", submission):
        check_go_version(submission.root, pinned_go_version())


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have everything ready; gives what starts clusters and acts out lab 1 there.

    Raises:
        BadSubmission: what was handed in cannot be built. InfraFault: something cannot be had.
    """
    spec = cluster_spec(run, manifests_of(run.submission), run.lab)
    with run.fleet.ready(spec), prepared(run) as ready:
        yield _Recording(run, ready).record


@dataclass(frozen=True)
class _Recording:
    run: Run
    ready: Prepared

    def record(self) -> Recorded:
        run, operator = self.run, self.ready.wanted.operator
        brought = handed_in(run.submission.root, installed=is_in("python", run.submission))
        run.recording.mark(RUN, HANDED_IN, **brought)
        with run.fleet.start(cluster_spec(run, self.ready.manifests, run.lab)) as (first,):
            scale = calibrate(first.kube, first.cluster.own_namespace)
            deadline_s = round(run.settings.deadline_s * scale, 3)
            results = self._act(first, CalibratedRun(run, self.ready, scale, deadline_s))
        user = install.operator_user(self.ready.wanted)
        return Recorded(
            tracks=results,
            calibration=Calibration(scale, deadline_s),
            actors={user: Role.LEARNER},
            block={"namespace": operator.namespace, "language": operator.language},
        )

    def _act(self, first: LiveCluster, setting: CalibratedRun) -> dict[str, TrackResult]:
        run = self.run
        real = incluster.real_run(
            run, first.cluster, self.ready.manifests, self._namespace_of_real_jobs(), self.ready.image
        )
        results: dict[str, TrackResult] = {}
        with ThreadPoolExecutor(8) as aside:
            checking = aside.submit(self._quality) if QUALITY in run.selection else None
            together, apart = self._shared_out(first)
            elsewhere = [aside.submit(self._elsewhere, setting, track) for track in apart]
            beside = real is not None and (run.fleet.several or (os.cpu_count() or 1) >= ROOMY)
            elsewhere += [aside.submit(real.act)] if real is not None and beside else []
            if together or RUN in run.selection:
                with open_environment(setting, ClusterContext(first, self._namespaces(together))) as env:
                    results |= self._live(env, together, also_alone=RUN in run.selection)
            if real is not None and not beside:
                results |= real.act()
            for there in elsewhere:
                results |= there.result()
            if RUN in run.selection:
                results[RUN] = TrackResult("done", 0.0, run.recording.clock.now())
            if checking is not None:
                with run.progress.task("code quality"):
                    results[QUALITY] = checking.result()
        return results

    def _shared_out(self, first: LiveCluster) -> tuple[list[Track[JobsContext]], list[Track[JobsContext]]]:
        """The tracks of the first cluster, and those that get one of their own."""
        chosen = [track for track in _TRACKS if track.name in self.run.selection]
        exclusive = [track for track in chosen if track.exclusive]
        if first.cluster.guest is not None or not self.run.fleet.several or len(chosen) == 1:
            return chosen, []
        return [track for track in chosen if not track.exclusive], exclusive

    def _elsewhere(self, setting: CalibratedRun, track: Track[JobsContext]) -> dict[str, TrackResult]:
        """One track, on a cluster of its own; what goes wrong with the cluster is that track's trouble."""
        run = self.run
        started = run.recording.clock.now()
        try:
            spec = cluster_spec(run, self.ready.manifests, f"{run.lab}-{track.name}")
            with run.fleet.start(spec) as (live,):
                place = ClusterContext(live, self._namespaces([track]), track.name)
                with open_environment(setting, place) as env:
                    return self._live(env, [track])
        except InfraFault as error:
            return {track.name: TrackResult("failed", started, run.recording.clock.now(), str(error))}

    def _live(
        self, env: OperatorEnvironment, chosen: list[Track[JobsContext]], *, also_alone: bool = False
    ) -> dict[str, TrackResult]:
        """Run the tracks of one cluster, with an operator if one is needed."""
        for key, namespace in env.namespaces.items():
            track, _, part = key.partition("/")
            env.recording.mark(track, "namespace", namespace=namespace, part=part, cluster=env.cluster)
        if not also_alone and not any(track.needs_operator for track in chosen):
            return self._run(env, chosen)
        with env.operator:
            with self.run.progress.task(f"starting {env.operator.name}") as task:
                task.update(detail="waiting for its first successful request for jobs")
                ready = wait_operator(env)
            if ready:
                return self._run(env, chosen)
            now = env.recording.clock.now()
            idle = {track.name: TrackResult("done", now, now) for track in chosen if track.needs_operator}
            return idle | self._run(env, [track for track in chosen if not track.needs_operator])

    def _run(self, env: OperatorEnvironment, chosen: list[Track[JobsContext]]) -> dict[str, TrackResult]:
        together = [track for track in chosen if not track.exclusive]
        members = {track.name for track in together if track.at_barrier}
        others = {track.name for track in together if track.needs_operator} - members
        gate = RestartGate(
            members, others, lambda: restart(env, gate.while_down), partial(clear, env, frozenset(others))
        )
        contexts = {track.name: JobsContext(track.name, env, gate) for track in together}
        pace = partial(wait_turn, env.health)
        results = run_tracks(together, contexts, gate, env.recording, self.run.progress, pace)
        for last in (track for track in chosen if track.exclusive):
            with ExitStack() as replicas:
                there = env
                if last.replicas > 1:
                    second = env.operator.another(f"{last.name}-standby")
                    there = replace(env, processes=(*env.processes, replicas.enter_context(second)))
                context = {last.name: JobsContext(last.name, there, gate)}
                results |= run_tracks([last], context, gate, env.recording, self.run.progress)
        return attributed(env, results)

    def _namespaces(self, chosen: list[Track[JobsContext]]) -> dict[str, str]:
        """Names that say nothing about what happens in them, the same for the same seed."""
        dice = random.Random(self.run.session.seed)  # noqa: S311  (names, not secrets)
        keys = [
            f"{track.name}/{part}" if part else track.name
            for track in _TRACKS
            for part in _PARTS.get(track.name, ("",))
        ]
        names = {key: f"team-{dice.randrange(16**6):06x}" for key in keys}
        return {key: names[key] for key in keys if key.split("/")[0] in {track.name for track in chosen}}

    def _namespace_of_real_jobs(self) -> str:
        """Of the same kind as those of `_namespaces`."""
        return f"team-{random.Random(self.run.session.seed ^ 1).randrange(16**6):06x}"  # noqa: S311

    def _quality(self) -> TrackResult:
        run = self.run
        started = run.recording.clock.now()
        status, problem = "done", ""
        try:
            with run.progress.task("code quality, aside") as task:
                runtime, limits = self.ready.runtime, run.settings.tool_limits
                folder = run.session.folder / QUALITY
                spec = sandbox_spec(run.submission.root, runtime, QUALITY, folder, (), limits)
                if is_in("python", run.submission):
                    quality.run_tools(run.sandbox, spec, runtime.course, run.recording, task)
                elif self.ready.go is not None:
                    goquality.run_go_tools(run.sandbox, spec, self.ready.go, run.recording, task)
        except InfraFault as error:
            status, problem = "failed", str(error)
        return TrackResult(status, started, run.recording.clock.now(), problem)
