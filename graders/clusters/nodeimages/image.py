"""The images that clusters of kind need: that of the nodes, and those that learners build on.

Where a registry can be reached the node image is kind's own, pinned by its digest. Elsewhere it is built
here.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from graders.clusters.binaries import ensure_binaries, machine_platform
from graders.clusters.binaries.catalog import CONTROL_PLANE, KUBERNETES, Platform
from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages import archive, controlplaneimages, nodeimage, rootfs
from graders.clusters.nodeimages.baseimages import all_bases, have_base
from graders.clusters.nodeimages.imagecache import Built, is_loaded, key_of, load
from graders.clusters.nodeimages.programs import ensure_node_programs, node_toolsets
from graders.clusters.nodeimages.pulling import pull
from graders.faults import UsageError
from graders.progress import Progress

UPSTREAM = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
"""What kind v0.33.0 takes by default; its Kubernetes is a patch or two behind that of embedded clusters."""


def ensure_node_image(docker_host: str, progress: Progress) -> str:
    """Have an image for kind's nodes in the engine; returns its reference.

    It is kind's own if that is there or can be pulled, else one that was built here, or is now.

    Raises:
        InfraFault: kind's own cannot be pulled, and none can be built here.
    """
    engine, own = Engine(docker_host), node_image(machine_platform())
    if engine.image_id(UPSTREAM) is not None:
        return UPSTREAM
    if not is_loaded(engine, own):
        problem = pull(engine, UPSTREAM, progress)
        if not problem:
            return UPSTREAM
        progress.say(f"kind's own node image cannot be pulled ({problem}); one is made here")
        load(engine, own, progress)
    return own.reference


def ensure_base_images(
    docker_host: str, progress: Progress, *, wanted: Collection[str] | None = None
) -> Mapping[str, str]:
    """Have the images that learners build on in the engine; gives the engine's reference by offered name.

    `wanted` names those to have; without it all are had.

    Raises:
        InfraFault: one cannot be made.
    """
    engine, target = Engine(docker_host), machine_platform()
    bases = [base for base in all_bases() if wanted is None or base.reference in wanted]
    for base in bases:
        have_base(engine, base, target, progress)
    return {base.reference: base.reference for base in bases}


def built_images(target: Platform) -> tuple[Built, ...]:
    """Every image that can be built here, asking no container registry."""
    return (node_image(target), *(base.built(target) for base in all_bases()))


def node_image(target: Platform) -> Built:
    """The image for nodes that is built here."""
    recipe = [module.__file__ for module in (archive, controlplaneimages, nodeimage, rootfs)]
    key = key_of(
        [toolset.key(target) for toolset in (CONTROL_PLANE, *node_toolsets())],
        [Path(file) for file in recipe if file] + sorted(nodeimage.FILES.iterdir()),
    )
    reference = f"kubeproof/node:{KUBERNETES}-{key}"

    def build(scratch: Path, progress: Progress) -> Path:
        binaries = ensure_binaries(progress)
        if binaries.version != KUBERNETES:
            raise UsageError(
                f"node images have Kubernetes {KUBERNETES}, and {binaries.source} is {binaries.version}",
                fix="unset KUBEPROOF_BINARIES",
            )
        programs = {
            name: binaries.path(name)
            for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
        }
        programs |= ensure_node_programs(progress)
        return nodeimage.build_node_image(reference, key, programs, target, scratch, progress)

    return Built("node", reference, key, build)
