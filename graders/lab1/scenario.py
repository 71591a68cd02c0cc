"""Lab 1's scenario: install, start the operator, run the tracks side by side, one restart in the middle."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from graders.clusters.components import token_kubeconfig
from graders.evidence.bundle import TrackResult
from graders.evidence.recorders import ControlRecorder, WatchRecorder
from graders.faults import BadSubmission, InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.lab1 import install, quality
from graders.lab1.api import API_VERSION, PLURAL
from graders.lab1.manifest import Lab1Block, Lab1Manifest
from graders.lab1.operator import Launch, Operator, environment
from graders.lab1.stage import QUIET_S, Stage, World
from graders.lab1.tracks import boundaries, failures, lifecycle, signals
from graders.model import Submission
from graders.polling import NotYet, TimedOut, wait_for
from graders.sandbox.protocol import Limits, SandboxSpec, View
from graders.scenario.calibration import calibrate
from graders.scenario.spec import Recorded, Run
from graders.scenario.tracks import RestartGate, Track, run_tracks
from graders.submissions.manifests import Manifest, load_manifests

BLOCK = Lab1Block

_TRACKS: tuple[Track[Stage], ...] = (
    Track("crd", boundaries.crd_contract, "CRD: defaults, bad specs, edits", needs_operator=False),
    Track("create", lifecycle.creates_pods, "a job of four nodes"),
    Track("delete", lifecycle.owner_gc, "a deleted job"),
    Track("conditions", lifecycle.conditions, "conditions through a job's life"),
    Track("completion", lifecycle.completion, "pods succeed one by one"),
    Track("scaling", lifecycle.scaling, "four nodes, two, four"),
    Track("suspend", lifecycle.suspend, "suspend and resume"),
    Track("exit-codes", failures.exit_codes, "exit codes 1, 137, none"),
    Track("pod-loss", failures.pod_loss, "a deleted and an evicted pod"),
    Track("events", signals.events, "Events for every transition"),
    Track("events-failed", signals.events_of_failure, "Events of a job that fails"),
    Track("isolation", boundaries.isolation, "twins in two namespaces, and a decoy"),
    Track("stranger", boundaries.stranger, "a stranger with a child's name"),
    Track("retries", failures.retries, "three failures, backoffLimit 2", joins_restart=True),
    Track("deadline", failures.deadline, "activeDeadlineSeconds 5, poked", joins_restart=True),
    Track("ttl", failures.ttl, "ttlSecondsAfterFinished 5", joins_restart=True),
    Track("metrics", signals.metrics, "counters across a restart", joins_restart=True),
)

QUALITY = "quality"
RUN = "run"
"""A track of no acting: the audit of the whole run, and what the manifests grant."""

TRACKS = (*(track.name for track in _TRACKS), QUALITY, RUN)

OPERATOR_READY = "operator-ready"
OPERATOR_NOT_READY = "operator-not-ready"
_GUARDED = frozenset(
    {"admissionregistration.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io"}
)
"""API groups whose objects decide what the API server does with everybody's requests."""

SHOWN_HARM = 4
_PARTS = {"isolation": ("", "other")}


def examine(submission: Submission) -> None:
    """See that the manifests can be read and hold what is needed.

    Raises:
        BadSubmission: names the file and line.
    """
    install.check_kinds(_manifests(submission), submission.manifest)


def prepare(kube: Kube, submission: Submission) -> None:
    """Apply the CRDs early; what is wrong with them is said when everything is installed."""
    install.apply_early(kube, _manifests(submission))


def record(run: Run) -> Recorded:
    """Act out lab 1 on a running cluster.

    Raises:
        BadSubmission: the cluster refuses what was handed in. InfraFault: the harness failed.
    """
    return _Recording(run).record()


def _manifests(submission: Submission) -> tuple[Manifest, ...]:
    wanted: Lab1Manifest = submission.manifest
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    kubectl = shutil.which("kubectl", path=beside)
    return load_manifests(submission.root, wanted.manifests, kubectl=Path(kubectl) if kubectl else None)


@dataclass(frozen=True)
class _Recording:
    run: Run

    def record(self) -> Recorded:
        run = self.run
        wanted: Lab1Manifest = run.submission.manifest
        kube = Kube(run.cluster.kubeconfig)
        chosen = [track for track in _TRACKS if track.name in run.tracks]
        scale = calibrate(kube)
        deadline_s = round(run.deadline_s * scale, 3)
        namespaces = self._namespaces(chosen)
        results: dict[str, TrackResult] = {}
        collections = {
            "pods": "/api/v1/pods",
            "services": "/api/v1/services",
            "events": "/api/v1/events",
        }
        with (
            ThreadPoolExecutor(1) as aside,
            ControlRecorder(run.recording, kube) as control,
            WatchRecorder(run.recording, kube, collections) as watches,
        ):
            with run.progress.task("installing manifests"):
                install.install(kube, _manifests(run.submission), wanted, run.recording, deadline_s)
                watches.follow(PLURAL, resource_path(API_VERSION, PLURAL))
                install.record_rights(kube, run.recording)
                _create_namespaces(kube, namespaces, deadline_s)
            checking = aside.submit(self._quality) if QUALITY in run.tracks else None
            user = install.operator_user(wanted)
            if any(track.needs_operator for track in chosen) or RUN in run.tracks:
                operator = Operator(self._launch(kube, wanted), run.recording)
                with operator:
                    world = World(
                        kube,
                        run.recording,
                        run.audit,
                        watches,
                        control,
                        operator,
                        user,
                        deadline_s,
                        namespaces,
                        QUIET_S * scale,
                    )
                    results |= self._act(world, chosen)
            elif chosen:
                operator = Operator(self._launch(kube, wanted), run.recording)
                world = World(
                    kube,
                    run.recording,
                    run.audit,
                    watches,
                    control,
                    operator,
                    user,
                    deadline_s,
                    namespaces,
                    QUIET_S * scale,
                )
                results |= self._run(world, chosen)
            if RUN in run.tracks:
                results[RUN] = TrackResult("done", 0.0, run.recording.clock.now())
            if checking is not None:
                with run.progress.task("code quality"):
                    results[QUALITY] = checking.result()
        operator_block = {"namespace": wanted.operator.namespace, "language": wanted.operator.language}
        return Recorded(results, user, scale, deadline_s, operator_block)

    def _act(self, world: World, chosen: list[Track[Stage]]) -> dict[str, TrackResult]:
        with self.run.progress.task("starting the operator") as task:
            task.update(detail="waiting for its first successful request for jobs")
            ready = _wait_operator(world)
        if not ready:
            chosen = [track for track in chosen if not track.needs_operator]
        results = self._run(world, chosen)
        if not ready:
            now = world.recording.clock.now()
            for track in _TRACKS:
                if track.name in self.run.tracks and track.name not in results:
                    results[track.name] = TrackResult("done", now, now)
        return results

    def _run(self, world: World, chosen: list[Track[Stage]]) -> dict[str, TrackResult]:
        members = {track.name for track in chosen if track.joins_restart}
        others = {track.name for track in chosen if track.needs_operator} - members
        gate = RestartGate(members, others, lambda: _restart(world))
        stages = {track.name: Stage(track.name, world, gate) for track in chosen}
        for key, namespace in world.namespaces.items():
            track, _, part = key.partition("/")
            world.recording.mark(track, "namespace", namespace=namespace, part=part)
        results = run_tracks(chosen, stages, gate, world.recording, self.run.progress)
        return _attributed(world, results)

    def _namespaces(self, chosen: list[Track[Stage]]) -> dict[str, str]:
        """Names that say nothing about what happens in them, the same for the same seed."""
        dice = random.Random(self.run.seed)  # noqa: S311  (names, not secrets)
        keys = [
            f"{track.name}/{part}" if part else track.name
            for track in _TRACKS
            for part in _PARTS.get(track.name, ("",))
        ]
        names = {key: f"team-{dice.randrange(16**6):06x}" for key in keys}
        return {key: names[key] for key in keys if key.split("/")[0] in {track.name for track in chosen}}

    def _spec(self, name: str, folder: Path, command: tuple[str, ...], limits: Limits) -> SandboxSpec:
        run = self.run
        return SandboxSpec(
            submission=run.submission.root,
            command=command,
            folder=folder,
            venv=run.runtime.venv,
            python=run.runtime.python,
            base=run.runtime.base,
            name=name,
            limits=limits,
        )

    def _launch(self, kube: Kube, wanted: Lab1Manifest) -> Launch:
        run = self.run
        operator = wanted.operator
        token = install.operator_token(kube, wanted)
        ca = kube.ca_certificate()

        def spec(number: int, folder: Path) -> SandboxSpec:
            def files(view: View) -> dict[str, bytes]:
                server = f"https://{view.api_address}"
                return {"kubeconfig": token_kubeconfig(server, ca, token, operator.namespace).encode()}

            command = operator.command
            if operator.build:
                # The sandbox forgets what is written in it, so each start builds before it runs.
                command = ("sh", "-c", f"{shlex.join(operator.build)} && exec {shlex.join(operator.command)}")
            base = self._spec(f"operator-{number}", folder, command, run.limits)
            return replace(
                base,
                api=True,
                writable_copy=bool(operator.build),
                files=files,
                environment=lambda view: environment(view, number, operator.namespace, operator.environment),
            )

        server = urlsplit(kube.server)
        return Launch(
            sandbox=run.sandbox,
            sandbox_spec=spec,
            folder=run.folder,
            logs=run.recording.writer.folder / "logs",
            api=(server.hostname or "127.0.0.1", server.port or 443),
            metrics_port=operator.metrics.port,
            metrics_path=operator.metrics.path,
        )

    def _quality(self) -> TrackResult:
        run = self.run
        started = run.recording.clock.now()
        status, problem = "done", ""
        if run.submission.manifest.operator.language == "python":
            try:
                with run.progress.task("code quality, aside") as task:
                    folder = run.folder / "quality"
                    quality.run_tools(
                        run.sandbox, self._spec("quality", folder, (), run.tool_limits), run.recording, task
                    )
            except InfraFault as error:
                status, problem = "failed", str(error)
        return TrackResult(status, started, run.recording.clock.now(), problem)


def _create_namespaces(kube: Kube, namespaces: dict[str, str], deadline_s: float) -> None:
    """Create them side by side and wait for each default ServiceAccount: pods need one."""

    def create(name: str) -> None:
        labels = {"kubeproof.dev/track": "true"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        kube.create("/api/v1/namespaces", body)

        def account() -> None:
            if kube.find(f"/api/v1/namespaces/{name}/serviceaccounts/default") is None:
                raise NotYet(f"namespace {name} has no default ServiceAccount")

        try:
            wait_for(account, timeout_s=6 * deadline_s, interval_s=0.05)
        except TimedOut as error:
            raise InfraFault(str(error)) from error

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, namespaces.values()))


def _wait_operator(world: World) -> bool:
    """Wait for the operator's first successful request for jobs; False and a mark when none comes."""

    def ready() -> None:
        if isinstance(world.operator.fault, BadSubmission):
            raise world.operator.fault
        if world.operator.fault is not None:
            raise InfraFault(f"the operator could not be started: {world.operator.fault}")
        if not world.audit.accepted(world.operator_user, PLURAL):
            raise NotYet("it has not read or watched jobs yet")

    since = world.recording.clock.now()
    try:
        with world.recording.news.listener() as bell:
            wait_for(ready, timeout_s=3 * world.deadline_s, interval_s=0.1, wake=bell)
    except TimedOut as error:
        sickness = world.control.sickness(since)
        if sickness and not harm_done(world):
            raise InfraFault(
                f"the operator was not ready while the harness was not healthy: {sickness}"
            ) from error
        world.recording.mark(RUN, OPERATOR_NOT_READY, seen=str(error), log=world.operator.log_tail(12))
        return False
    world.recording.mark(RUN, OPERATOR_READY)
    return True


def _attributed(world: World, results: dict[str, TrackResult]) -> dict[str, TrackResult]:
    """A track that broke while the operator harmed the cluster is the learner's loss."""
    broken = [name for name, result in results.items() if result.status != "done"]
    harm = harm_done(world) if broken else ""
    if not harm:
        return results
    for name in broken:
        world.recording.mark(
            name, "missed", waiting_for="an operator that leaves the cluster itself as it is", seen=harm
        )
    return {name: replace(result, status="done") for name, result in results.items()}


def harm_done(world: World) -> str:
    """What the operator did to the cluster itself, in words; empty when it did nothing that could harm."""
    harmful = [
        event
        for event in world.audit.cluster_writes(world.operator_user)
        if event.verb.startswith("delete") or event.group in _GUARDED or event.resource == "nodes"
    ]
    if not harmful:
        return ""
    shown = dict.fromkeys(f"{event.verb} {event.resource} {event.name}".rstrip() for event in harmful)
    more = f" and {len(shown) - SHOWN_HARM} more" if len(shown) > SHOWN_HARM else ""
    return f"the operator itself did {', '.join(list(shown)[:SHOWN_HARM])}{more}"


def _restart(world: World) -> None:
    """Kill the operator and release the leases it held, as a cluster's owner would after a crash."""
    before = world.audit.accepted(world.operator_user, PLURAL)
    world.operator.kill(lambda: _release_leases(world))
    if world.operator.fault is not None:
        raise InfraFault(f"the operator could not be started again: {world.operator.fault}")

    def back() -> None:
        if world.audit.accepted(world.operator_user, PLURAL) == before:
            raise NotYet("it has not read jobs since its restart")

    try:
        with world.recording.news.listener() as bell:
            wait_for(back, timeout_s=2 * world.deadline_s, interval_s=0.1, wake=bell)
    except TimedOut as error:
        # What follows will show it; the tracks go on and miss their deadlines.
        world.recording.mark(RUN, "restart-not-ready", seen=str(error))


def _release_leases(world: World) -> None:
    namespace = world.operator_user.split(":")[2]
    world.kube.delete(resource_path("coordination.k8s.io/v1", "leases", namespace=namespace))
    for plural, path in (
        ("kopfpeerings", resource_path("kopf.dev/v1", "kopfpeerings", namespace=namespace)),
        ("clusterkopfpeerings", resource_path("kopf.dev/v1", "clusterkopfpeerings")),
    ):
        try:
            listing = world.kube.find(path)
        except ApiRefused:
            continue
        for item in (listing or {}).get("items", ()):
            gone = {"status": dict.fromkeys(item.get("status") or {})}
            world.kube.patch(f"{path}/{item['metadata']['name']}", gone)
            world.recording.mark(RUN, "peering-released", plural=plural)
