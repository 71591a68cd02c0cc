"""Lab 2's scenario: a fleet comes up from Git, and is released to, disturbed and attacked, track by track."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from graders.admission.engines import engines_named
from graders.admission.kinds import PolicyKind, kinds_of
from graders.admission.meshkinds import mesh_answers
from graders.evidence.manifest import Calibration, TrackResult
from graders.faults import InfraFault
from graders.gitops.hub import examine_hub, hub_objects
from graders.gitops.releasemanager import REPOSITORY, ReleaseManager
from graders.gitops.rights import access_objects
from graders.gitops.trials import CommitTrial
from graders.lab2.engines import SETUPS, SHAPE
from graders.lab2.fleet import cluster_specs
from graders.lab2.fleetrun import run_fleet
from graders.lab2.handin import Values, check_files, check_policies, executables, filled
from graders.lab2.images import CACHE, UNSIGNED, WEB, digest_of, signatures
from graders.lab2.images import images as all_images
from graders.lab2.layout import MESH, POLICIES, folders
from graders.lab2.names import (
    ENGINE,
    ENVIRONMENTS,
    INSTALL,
    PAPER,
    PREFLIGHT,
    SECRETS,
)
from graders.lab2.preflight import cases, releases
from graders.lab2.prepared import PreparedRun
from graders.lab2.schedule import SCHEDULE
from graders.lab2.toolsets import BELT, GITLEAKS, HELM, KUSTOMIZE, POLICY_PROGRAMS, REGISTRY, SOPS
from graders.lab2.tracks.paper import paper
from graders.model import Role, Submission
from graders.ownership import OwnedFolder
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.heldpods import write_stages
from graders.scenario.spec import Acting, Recorded, Run
from graders.scenario.toolroom import check_program, tools_named
from graders.services.gitserver import git_server
from graders.services.ociimages import new_key, public_pem, push
from graders.services.registry import check_registry, registry
from graders.submissions.misrendering import misrendered
from graders.submissions.rendering import Rendered, Renderer
from graders.tools import ensure

TRACKS = (PAPER, PREFLIGHT, *(track.name for row in SCHEDULE for track in row))
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
    access_objects(root, SHAPE)
    examine_hub(root, SETUPS[block.engine])


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have the programs, the images and the repository; gives what starts the fleet and runs the tracks.

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
        policy_programs = {
            each.name: ensure(POLICY_PROGRAMS[each.name], run.progress).path(each.name)
            for each in (engines if live else ())
        }
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
        tools = tools_named(run.submission.root, BELT, run.progress) if wanted or promotes else {}
        if SECRETS in run.selection:
            tools["gitleaks"] = ensure(GITLEAKS, run.progress).path("gitleaks")
        if run.submission.manifest.engine == "flux":
            # Argo CD decrypts nothing.
            tools["sops"] = ensure(SOPS, run.progress).path("sops")
        prepared = PreparedRun(
            run, owner, server, values, renderer, setup, program, policy_programs, runtime, tools
        )
        if live:
            stages = write_stages(owner.path / "stages.yaml", WEB)
            specs = cluster_specs(run.settings, stages, setup, engines)
            ready.enter_context(run.fleet.ready(*specs.values()))
        yield partial(_record, prepared)


def _helm(run: Run) -> Path | None:
    """Helm, where the submission has a chart."""
    if any(run.submission.root.rglob("Chart.yaml")):
        return ensure(HELM, run.progress).path("helm")
    return None


def _record(prepared: PreparedRun) -> Recorded:
    run = prepared.run
    manager = ReleaseManager(
        prepared.server, prepared.owner.path / "clone", run.recording, prepared.values.image_of
    )
    first = manager.begin(
        filled(run.submission.root, prepared.values),
        run.submission.manifest.release,
        "v1",
        executables(run.submission.root),
    )
    checkout = manager.checkout()
    began = run.recording.clock.now()
    declared = paper(run.recording, checkout, prepared.renderer)
    for name, folder in folders(checkout).items():
        out = declared[name]
        hopeless = name in ENVIRONMENTS and not (checkout / folder / "Chart.yaml").is_file()
        if out.excessive or (out.error and hopeless):
            tool = "helm template" if (checkout / folder / "Chart.yaml").is_file() else "kustomize build"
            raise misrendered(checkout, folder, out.error, f"run {tool} {folder}, and mend it")
    policies, named = declared.get(POLICIES, Rendered()).objects, run.submission.manifest.policy_engines
    check_policies(policies, named)
    kinds = kinds_of(named, policies)
    lives = bool(set(run.selection) - _WITHOUT_A_FLEET)
    for_the_hub = hub_objects(checkout, prepared.setup, prepared.renderer) if lives else ()
    results = {PAPER: TrackResult("done", began, run.recording.clock.now())}
    scale = 1.0
    meshed = declared.get(MESH, Rendered()).objects if PAPER in run.selection else ()
    with ThreadPoolExecutor(2) as aside:
        tried = aside.submit(_try_mesh, run, meshed) if meshed else None
        beside = aside.submit(_preflight, prepared, first) if PREFLIGHT in run.selection else None
        if lives:
            scale, live = run_fleet(prepared, manager, checkout, declared, kinds, for_the_hub)
            results |= live
        if beside is not None:
            results[PREFLIGHT] = beside.result()
        try:
            if tried is not None:
                tried.result()
        except InfraFault as error:
            results[PAPER] = TrackResult("failed", began, run.recording.clock.now(), str(error))
    check_registry(prepared.values.registry)
    return Recorded(
        tracks={name: each for name, each in results.items() if name in run.selection or name == INSTALL},
        calibration=Calibration(scale, round(run.settings.deadline_s * scale, 3)),
        actors={ENGINE: Role.LEARNER},
        block=_block(prepared, kinds),
    )


def _try_mesh(run: Run, objects: Sequence[Mapping[str, Any]]) -> None:
    with run.progress.task("the manifests of the mesh, before an API server that has its kinds"):
        mesh = run.submission.manifest.mesh
        for answer in mesh_answers(mesh, objects, run.recording.clock.now, run.progress):
            run.recording.writer.add(answer)


def _preflight(prepared: PreparedRun, base: str) -> TrackResult:
    """The learner's preflight, where there is one, on commits of its own; needs no fleet."""
    run, command = prepared.run, prepared.run.submission.manifest.preflight
    began, status, problem = run.recording.clock.now(), "done", ""
    try:
        room = prepared.tool_room
        if command and room is not None:
            folder, limits = run.session.folder / PREFLIGHT, run.settings.tool_limits
            preflight = CommitTrial(PREFLIGHT, command, room, limits, folder, prepared.values.registry)
            with run.progress.task("the preflight, on good commits and bad ones"):
                bare = prepared.server.root / REPOSITORY
                tried = cases(prepared.values.registry, prepared.values.image_of("v1"))
                release = run.submission.manifest.release
                raw = prepared.server.content(REPOSITORY, release.file, base) or b""
                tried += releases(prepared.values.registry, release, raw)
                preflight.try_all(bare, base, tried, run.recording)
    except InfraFault as error:
        status, problem = "failed", str(error)
    return TrackResult(status, began, run.recording.clock.now(), problem)


def _block(prepared: PreparedRun, kinds: tuple[PolicyKind, ...]) -> dict[str, object]:
    block = prepared.run.submission.manifest
    return {
        "engine": block.engine,
        "processes": prepared.setup.processes,
        "mesh": block.mesh,
        "registry": prepared.values.registry,
        "unsigned": prepared.values.unsigned_image,
        "policyKinds": {each.resource: each.kind for each in kinds},
        **{name: getattr(block.promises, name) for name in ("sync_s", "drift_s", "promote_s", "timeout_s")},
    }
