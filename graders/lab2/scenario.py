"""Lab 2's scenario: a fleet comes up from Git, and is released to, disturbed and attacked, story by story."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from graders.evidence.manifest import Calibration, TrackResult
from graders.faults import BadSubmission, InfraFault
from graders.lab2 import manifests
from graders.lab2.engines import SETUPS, EngineSetup, EngineSpec, GitOpsEngine
from graders.lab2.fleet import cluster_specs, furnish_hub, furnish_spoke
from graders.lab2.handin import Values, check_files, check_program, executables, filled
from graders.lab2.images import CACHE, UNSIGNED, WEB, digest_of, signatures
from graders.lab2.images import images as all_images
from graders.lab2.latewatches import LateWatches
from graders.lab2.names import (
    ADMISSION,
    CLOSED,
    DRIFT,
    ENGINE,
    ENVIRONMENTS,
    GATE,
    GATED,
    HUB,
    INSTALL,
    NAMESPACE,
    OUTAGE,
    PAPER,
    PREFLIGHT,
    PROMOTION,
    PRUNE,
    RACE,
    REVIEW,
    RIGHTS,
    ROLLBACK,
    SECRETS,
    SERVING,
    STEADY,
)
from graders.lab2.policyengines import check_policies, engines_named, policy_controllers
from graders.lab2.policykinds import PolicyKind, kinds_of
from graders.lab2.preflight import Preflight, cases, releases
from graders.lab2.promoter import Promoter, PromotionCommand
from graders.lab2.readiness import Readiness
from graders.lab2.releasemanager import REPOSITORY, ReleaseManager
from graders.lab2.rendering import POLICIES, Rendered, Renderer, folders, render
from graders.lab2.sealing import SEALING_KEY
from graders.lab2.stage import FleetContext, Stage
from graders.lab2.stages import write_stages
from graders.lab2.toolbelt import tools_named
from graders.lab2.toolroom import ToolRoom
from graders.lab2.toolsets import GITLEAKS, HELM, KUSTOMIZE, REGISTRY, SOPS
from graders.lab2.tracks import (
    admission,
    drift,
    failclosed,
    install,
    outage,
    promotion,
    pruning,
    review,
    secrets,
    steadiness,
)
from graders.lab2.tracks.paper import paper
from graders.model import Role, Submission
from graders.ownership import OwnedFolder
from graders.sandbox.runtime import Runtime, ensure_runtime
from graders.scenario.calibration import calibrate
from graders.scenario.fleet import LiveCluster
from graders.scenario.spec import Acting, Recorded, Run
from graders.scenario.tracks import RestartGate, Track, run_tracks
from graders.services.gitserver import GitServer, git_server
from graders.services.ociimages import new_key, public_pem, push
from graders.services.registry import check_registry, registry
from graders.services.unsealer import Unsealer, read_private
from graders.tools import ensure

_STORIES: tuple[tuple[Track[FleetContext], ...], ...] = (
    (Track(INSTALL, install.install, "the fleet comes up from Git"),),
    (Track(PROMOTION, promotion.promotion, "v2 from dev to prod"),),
    (Track(GATE, promotion.gate, "v3, never ready, then v4"),),
    (Track(RACE, promotion.race, "v5, overtaken by v6"),),
    (
        Track(STEADY, steadiness.steady, "a settled fleet, left alone"),
        Track(RIGHTS, admission.rights, "what the engine may do"),
        Track(ADMISSION, admission.direct, "attempts against the policies"),
        Track(REVIEW, review.review, "the policies' own tests"),
    ),
    (Track(DRIFT, drift.drift, "somebody changes what Git declares"),),
    (
        Track(PRUNE, pruning.prune, "extras that come and go"),
        Track(SECRETS, secrets.replace_secrets, "new tokens through Git"),
    ),
    (Track(GATED, admission.through_git, "what breaks the rules, by Git"),),
    (Track(CLOSED, failclosed.fail_closed, "policies without what they need"),),
    (Track(ROLLBACK, promotion.rollback, "the last release is taken back"),),
    (Track(OUTAGE, outage.engine_loss, "v7, with staging away and the engine killed"),),
)
"""In the order in which they are told; each begins with a settled fleet.

Those of one row are told side by side: while nobody may write for the engine, others ask and are denied; new
tokens do not meet the extras.
"""

TRACKS = (PAPER, PREFLIGHT, *(track.name for story in _STORIES for track in story))
_WITHOUT_A_FLEET = frozenset({PAPER, PREFLIGHT})


def examine(submission: Submission) -> None:
    """See that the folder can be a fleet's repository, and that hub/ and access/ hold what belongs there.

    Raises:
        BadSubmission: names the file and line.
    """
    block, root = submission.manifest, submission.root
    check_files(root, block.release)
    for command in (block.command, block.preflight):
        check_program(root, command)
    SETUPS[block.engine].examine(root)
    manifests.access_objects(root)
    if manifests.hub_kustomization(root) is None:
        manifests.hub_objects(root, block.engine)


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have the programs, the images and the repository; gives what starts the fleet and tells the stories.

    Raises:
        BadSubmission: the fleet cannot be made of what was handed in. InfraFault: something cannot be had.
    """
    with ExitStack() as ready:
        owner = ready.enter_context(OwnedFolder("services", run.lab))
        renderer = Renderer(ensure(KUSTOMIZE, run.progress).path("kustomize"), _helm(run))
        live = set(run.selection) - _WITHOUT_A_FLEET
        setup = SETUPS[run.submission.manifest.engine]
        program = setup.program(run.progress) if live else Path()
        engines = engines_named(run.submission.manifest.policy_engines)
        for engine in engines if live else ():
            ensure(engine.toolset, run.progress)
        images = ready.enter_context(
            registry(owner, owner.path / "registry", ensure(REGISTRY, run.progress).path("crane"))
        )
        key = new_key()
        push(images, ((each.digest, each) for each in all_images().values()))
        push(images, signatures(images, key))
        server = ready.enter_context(git_server(owner, owner.path / "git", [REPOSITORY]))
        values = Values(
            git_url=server.url(REPOSITORY),
            registry=images,
            cache_image=f"{images}/{CACHE}@{digest_of(CACHE)}",
            unsigned_image=f"{images}/{WEB}@{digest_of(UNSIGNED)}",
            cosign_pub=public_pem(key),
        )
        wanted = PREFLIGHT in run.selection and run.submission.manifest.preflight
        promotes = live and run.submission.manifest.command
        runtime = ensure_runtime(run.progress) if wanted or promotes else None
        tools = tools_named(run.submission.root, run.progress) if wanted or promotes else {}
        if SECRETS in run.selection:
            tools["gitleaks"] = ensure(GITLEAKS, run.progress).path("gitleaks")
        if run.submission.manifest.engine == "flux":
            # Argo CD decrypts nothing.
            tools["sops"] = ensure(SOPS, run.progress).path("sops")
        scene = _Scene(run, owner, server, values, renderer, setup, program, runtime, tools)
        if live:
            stages = write_stages(owner.path / "stages.yaml")
            first = cluster_specs(run.settings.nodes, stages, setup, engines, run.progress)
            ready.enter_context(run.fleet.ready(first[HUB]))
        yield scene.record


def _helm(run: Run) -> Path | None:
    """Helm, where the submission has a chart."""
    if any(run.submission.root.rglob("Chart.yaml")):
        return ensure(HELM, run.progress).path("helm")
    return None


@dataclass(frozen=True)
class _Scene:
    run: Run
    owner: OwnedFolder
    server: GitServer
    values: Values
    renderer: Renderer
    setup: EngineSetup
    program: Path
    """The engine's; nowhere where no fleet is wanted."""
    runtime: Runtime | None
    """Where learners' programs run; None where none is to."""
    tools: Mapping[str, Path]

    @property
    def programs_there(self) -> dict[str, Path]:
        """What a preflight has on its PATH, by name."""
        found = {"kustomize": self.renderer.kustomize, "helm": self.renderer.helm, **self.tools}
        return {name: path for name, path in found.items() if path is not None}

    def record(self) -> Recorded:
        run = self.run
        manager = ReleaseManager(self.server, self.owner.path / "clone", run.recording, self.values.registry)
        first = manager.begin(
            filled(run.submission.root, self.values),
            run.submission.manifest.release,
            executables(run.submission.root),
        )
        checkout = manager.checkout()
        began = run.recording.clock.now()
        declared = paper(run.recording, checkout, self.renderer)
        for name, folder in folders(checkout).items():
            out = declared[name]
            hopeless = name in ENVIRONMENTS and not (checkout / folder / "Chart.yaml").is_file()
            if out.excessive or (out.error and hopeless):
                tool = "helm template" if (checkout / folder / "Chart.yaml").is_file() else "kustomize build"
                raise BadSubmission(
                    f"it does not render: {out.error}", file=folder, fix=f"run {tool} {folder}, and mend it"
                )
        policies, named = declared.get(POLICIES, Rendered()).objects, run.submission.manifest.policy_engines
        check_policies(policies, named)
        kinds = kinds_of(named, policies)
        results = {PAPER: TrackResult("done", began, run.recording.clock.now())}
        scale = 1.0
        with ThreadPoolExecutor(1) as aside:
            beside = aside.submit(self._preflight, first) if PREFLIGHT in run.selection else None
            if set(run.selection) - _WITHOUT_A_FLEET:
                scale, live = self._live(manager, checkout, declared, kinds)
                results |= live
            if beside is not None:
                results[PREFLIGHT] = beside.result()
        check_registry(self.values.registry)
        return Recorded(
            tracks={name: each for name, each in results.items() if name in run.selection or name == INSTALL},
            calibration=Calibration(scale, round(run.settings.deadline_s * scale, 3)),
            actors={ENGINE: Role.LEARNER},
            block=self._block(kinds),
        )

    def _preflight(self, base: str) -> TrackResult:
        """The learner's preflight, where there is one, on commits of its own; needs no fleet."""
        run, command = self.run, self.run.submission.manifest.preflight
        began, status, problem = run.recording.clock.now(), "done", ""
        try:
            if command and self.runtime is not None:
                folder, limits = run.session.folder / PREFLIGHT, run.settings.tool_limits
                room = ToolRoom(run.sandbox, self.runtime, self.programs_there)
                preflight = Preflight(command, room, limits, folder, self.values.registry)
                image = f"{self.values.registry}/{WEB}@{digest_of('v1')}"
                with run.progress.task("the preflight, on good commits and bad ones"):
                    bare = self.server.root / REPOSITORY
                    tried = cases(self.values.registry, image)
                    release = run.submission.manifest.release
                    raw = self.server.content(REPOSITORY, release.file, base) or b""
                    tried += releases(self.values.registry, release, raw)
                    preflight.try_all(bare, base, tried, run.recording)
        except InfraFault as error:
            status, problem = "failed", str(error)
        return TrackResult(status, began, run.recording.clock.now(), problem)

    def _block(self, kinds: tuple[PolicyKind, ...]) -> dict[str, object]:
        block = self.run.submission.manifest
        return {
            "engine": block.engine,
            "processes": self.setup.processes,
            "mesh": block.mesh,
            "registry": self.values.registry,
            "unsigned": self.values.unsigned_image,
            "policyKinds": {each.resource: each.kind for each in kinds},
            **{
                name: getattr(block.promises, name)
                for name in ("sync_s", "drift_s", "promote_s", "timeout_s")
            },
        }

    def _live(
        self,
        manager: ReleaseManager,
        checkout: Path,
        declared: Mapping[str, Rendered],
        kinds: tuple[PolicyKind, ...],
    ) -> tuple[float, dict[str, TrackResult]]:
        run = self.run
        block = run.submission.manifest
        engines, stages = engines_named(block.policy_engines), self.owner.path / "stages.yaml"
        specs = cluster_specs(run.settings.nodes, stages, self.setup, engines, run.progress)
        access = manifests.access_objects(checkout)
        hub_objects = self._hub_objects(checkout)
        with ExitStack() as running:
            hub, *others = running.enter_context(run.fleet.start(*specs.values()))
            spokes = dict(zip(ENVIRONMENTS, others, strict=True))
            scale = calibrate(spokes["dev"].kube, "default")
            for environment, live in spokes.items():
                furnish_spoke(live, access[environment], kinds, checkout)
            furnish_hub(hub, self.setup, list(spokes.values()), checkout)
            controllers = running.enter_context(policy_controllers(engines, spokes, self.owner, run.progress))
            running.enter_context(LateWatches(spokes, kinds))
            folder = self.owner.path / "engine"
            spec = EngineSpec(self.owner, folder, hub, self.program, self.renderer, self.values.git_url)
            engine = running.enter_context(self.setup.running(spec))
            with run.progress.task(f"starting {self.setup.title}"):
                engine.start()
            private = read_private(SEALING_KEY.read_bytes())
            for spoke in spokes.values():
                running.enter_context(Unsealer(spoke.kube, private, NAMESPACE))
            readiness = running.enter_context(Readiness(spokes, run.recording))
            promoter = self._promoter(manager, spokes, engine, scale)
            if promoter is not None:
                running.enter_context(promoter)
            stage = Stage(
                hub=hub, spokes=spokes, setup=self.setup, engine=engine, manager=manager,
                readiness=readiness, manifest=block, values=self.values, hub_objects=tuple(hub_objects),
                declared={name: declared.get(name, Rendered()).objects for name in (*ENVIRONMENTS, POLICIES)},
                scale=scale, recording=run.recording, renderer=self.renderer,
                sops=self.tools.get("sops"), gitleaks=self.tools.get("gitleaks"), kinds=kinds,
                controllers=controllers, promoter=promoter,
            )  # fmt: skip
            try:
                results = self._tell(stage)
                # What died unseen may have kept silent where something had to come.
                stage.check_services()
                if promoter is not None and promoter.problem:
                    raise InfraFault(promoter.problem)
                return scale, results
            finally:
                for each in (folder, *self.owner.path.glob("policies-*")):
                    self._keep_logs(each)

    def _promoter(
        self, manager: ReleaseManager, spokes: Mapping[str, LiveCluster], engine: GitOpsEngine, scale: float
    ) -> Promoter | None:
        """The learner's promotion command, not begun; None where the engine promotes."""
        run, block = self.run, self.run.submission.manifest
        if not block.command or self.runtime is None:
            return None
        room = ToolRoom(run.sandbox, self.runtime, self.programs_there)
        timeout_s = block.promises.timeout_s * scale
        command = PromotionCommand(block.command, room, run.settings.limits, timeout_s, self.values.registry)
        folder = run.session.folder / "promotion"
        promoter = Promoter(command, self.server, manager, spokes, folder, run.recording)
        promoter.on_push = engine.tell
        return promoter

    def _tell(self, stage: Stage) -> dict[str, TrackResult]:
        """Every chosen story in its order; without a fleet there is none to tell but the first."""
        run, results = self.run, dict[str, TrackResult]()
        for story in _STORIES:
            told = [each for each in story if each.name in run.selection or each.name == INSTALL]
            if not told:
                continue
            contexts = {each.name: FleetContext(each.name, stage) for each in told}
            if stage.installed or INSTALL in contexts:
                gate = RestartGate((), (), _nothing)
                results |= run_tracks(told, contexts, gate, run.recording, run.progress)
                continue
            for name, context in contexts.items():
                context.mark("missed", waiting_for=SERVING, seen="they did not come up from Git")
                now = run.recording.clock.now()
                results[name] = TrackResult("done", now, now)
        return results

    def _hub_objects(self, checkout: Path) -> list[dict[str, object]]:
        engine = self.run.submission.manifest.engine
        if manifests.hub_kustomization(checkout) is None:
            return manifests.hub_objects(checkout, engine)
        out = render(self.renderer, checkout, manifests.HUB_FOLDER)
        if out.error:
            raise BadSubmission(
                f"kustomize refuses it: {out.error}", file=manifests.HUB_FOLDER, fix="mend it"
            )
        for each in out.objects:
            manifests.check_hub_object(each, engine)
        return [dict(each) for each in out.objects]

    def _keep_logs(self, folder: Path) -> None:
        for log in sorted(folder.glob("*.log")):
            data = log.read_bytes()[-_KEPT_LOG_BYTES:]
            target = self.run.recording.writer.folder / "logs" / log.name
            target.write_text(data.decode("utf-8", "replace"), encoding="utf-8")


_KEPT_LOG_BYTES = 4 * 1024 * 1024
_nothing: Callable[[], None] = lambda: None  # noqa: E731
