"""`kubeproof kind`: what clusters of kind need, also for rooms without a container registry."""

from pathlib import Path
from typing import Annotated

import typer

from graders.cli.progress import TerminalProgress
from graders.clusters.binaries import machine_platform
from graders.clusters.engine.engine import Engine
from graders.clusters.engine.probing import answering_engine
from graders.clusters.kind.binary import ensure_kind
from graders.clusters.nodeimages.image import built_images, ensure_base_images, ensure_node_image
from graders.clusters.nodeimages.imagecache import ensure_archive, load
from graders.faults import InfraFault, UsageError
from graders.tools.archive import load_archive, save_archive

_FIX = "make it again with `kubeproof kind image --offline --save FILE`"

kind_app = typer.Typer(
    help="Have ready what clusters of kind need.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@kind_app.callback()
def kind() -> None:
    """Have ready what clusters of kind need."""


@kind_app.command()
def image(
    offline: Annotated[
        bool, typer.Option("--offline", help="Build all images here, asking no container registry.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Write the images that were built to this file, for other machines.")
    ] = None,
    load_from: Annotated[
        Path | None, typer.Option("--load", help="Take the images from such a file.")
    ] = None,
) -> None:
    """Have kind, its node image and the images that learners build on.

    Without options the node image is kind's own where the Docker engine can pull it. With --offline all
    images are built from Debian packages and pinned Go modules (as root; a quarter of an hour, once) and
    kept in the cache; a Docker engine that answers gets them too.

    Raises:
        UsageError: options exclude each other, or a file cannot be used; the command ends with exit code 2.
        InfraFault: something cannot be fetched or built; the command ends with exit code 3.
    """
    if save is not None and load_from is not None:
        raise UsageError(
            "--save and --load exclude each other", fix="run `kubeproof kind image` once for each"
        )
    images = built_images(machine_platform())
    host = answering_engine()
    if host is None and not (offline or save or load_from):
        raise InfraFault(
            "no Docker engine answers",
            fix="start one or name it in DOCKER_HOST; with --offline images are built without",
        )
    with TerminalProgress() as progress:
        progress.say(f"kind: {ensure_kind(progress)}")
        if load_from is not None:
            loaded = load_archive(load_from, [each.kept for each in images], progress)
            if absent := [each.name for each in images if each.kept.name not in loaded]:
                raise UsageError(
                    f"the archive lacks the images {', '.join(absent)}", file=load_from, fix=_FIX
                )
        if offline or save is not None:
            for each in images:
                progress.say(f"built: {each.reference} in {ensure_archive(each, progress)}")
        if save is not None:
            save_archive(save, [each.kept for each in images], progress)
            progress.say(f"saved: {save} ({save.stat().st_size / 1e6:.0f} MB)")
        if host is None:
            return
        if offline or save is not None or load_from is not None:
            for each in images:
                load(Engine(host), each, progress)
                progress.say(f"loaded: {each.reference}")
        else:
            progress.say(f"node image: {ensure_node_image(host, progress)}")
            for reference in ensure_base_images(host, progress).values():
                progress.say(f"base image: {reference}")
