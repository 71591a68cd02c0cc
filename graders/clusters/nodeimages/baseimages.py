"""The images that learners build theirs on: with a course's packages in them, no build needs the network.

The same content stands on an official image where that can be pulled, else on Debian installed here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graders.clusters.binaries.catalog import Platform
from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages import archive, basecontents, rootfs
from graders.clusters.nodeimages.archive import Image, compressed, pack_tree, run_tool, write_image
from graders.clusters.nodeimages.basecontents import GO_INPUTS, PYTHON_LOCK, add_go, add_python
from graders.clusters.nodeimages.imagecache import KEY_LABEL, Built, is_loaded, key_of, load
from graders.clusters.nodeimages.pulling import pull
from graders.clusters.nodeimages.rootfs import make_debian
from graders.once import one_at_a_time, scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress

_BUILT_WITHIN_S = 1800.0
_PATH = "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ALONE = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child")


@dataclass(frozen=True)
class Base:
    """A base image: what it is called, what it stands on, what is put on top, and how that is finished.

    `add` puts files into a tree that is laid over the root, for an official image (True) or Debian's packages
    (False). `finish` is a shell command that is then run in the image, with no network.
    """

    name: str
    reference: str
    official: str
    packages: tuple[str, ...]
    inputs: tuple[Path, ...]
    add: Callable[[Path, bool, Platform, Progress], None]
    finish: str
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("sh",)

    def key(self, target: Platform) -> str:
        """Names all that it is made of."""
        texts = [str(target), self.official, *self.packages, self.finish, repr(dict(self.environment))]
        recipe = [module.__file__ for module in (archive, basecontents, rootfs)]
        return key_of(texts, [*(Path(file) for file in recipe if file), *self.inputs])

    def built(self, target: Platform) -> Built:
        """The image, built on Debian's packages."""
        key = self.key(target)

        def build(scratch: Path, progress: Progress) -> Path:
            return _build_on_debian(self, key, target, scratch, progress)

        return Built(self.name, self.reference, key, build)


PYTHON = Base(
    name="python",
    reference="kubeproof/python:3.11",
    official="python:3.11-slim",
    packages=("ca-certificates", "python3", "python3-pip"),
    inputs=(PYTHON_LOCK,),
    add=add_python,
    # Who is not root could not keep what is compiled at the first import.
    finish="python -m compileall -q /usr/local/lib/python3.11 || true",
    environment={
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    },
    command=("python",),
)

GO = Base(
    name="go",
    reference="kubeproof/go:1.27",
    official="debian:bookworm-slim",
    packages=("ca-certificates",),
    inputs=GO_INPUTS,
    add=add_go,
    finish="cd /go/warm && go build -o /dev/null . && cd / && rm -rf /go/warm && chmod -R a+rwX /go",
    environment={
        "GOPATH": "/go",
        "GOCACHE": "/go/cache",
        "GOPROXY": "off",
        "GOSUMDB": "off",
        "GOFLAGS": "-mod=mod -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        "CGO_ENABLED": "0",
    },
)


def all_bases() -> tuple[Base, ...]:
    """Every base image."""
    return (PYTHON, GO)


def have_base(engine: Engine, base: Base, target: Platform, progress: Progress) -> None:
    """Have `base` in the engine: from the cache, on an official image, or on Debian's packages.

    Raises:
        InfraFault: none of these can be had.
    """
    built = base.built(target)
    if is_loaded(engine, built):
        return
    if not built.archive.is_file():
        problem = pull(engine, base.official, progress)
        if not problem:
            _build_on_official(engine, base, target, progress)
            return
        progress.say(f"{base.official} cannot be pulled ({problem}); Debian is installed instead")
    load(engine, built, progress)


def _build_on_debian(base: Base, key: str, target: Platform, scratch: Path, progress: Progress) -> Path:
    root, layer, file = scratch.resolve() / "root", scratch / "layer.tar", scratch / "image.tar.zst"
    make_debian(root, base.packages, f"installing Debian for {base.reference}", progress)
    base.add(root, False, target, progress)
    with progress.task(f"finishing {base.reference}"):
        variables = [f"{name}={value}" for name, value in _environment(base).items()]
        inside = ["env", "-i", *variables, "HOME=/tmp", "sh", "-c", base.finish]
        run_tool([*_ALONE, f"--root={root}", "--mount-proc", *inside], timeout_s=_BUILT_WITHIN_S)
    with progress.task(f"packing {base.reference}"):
        pack_tree(root, layer)
        image = Image(
            base.reference,
            target,
            environment=_environment(base),
            command=base.command,
            labels={KEY_LABEL: key},
        )
        with compressed(file) as stream:
            write_image(image, layer, stream)
        layer.unlink()
    return file


def _build_on_official(engine: Engine, base: Base, target: Platform, progress: Progress) -> None:
    """Let the engine lay the content over an image that it has."""
    beside = cache_folder() / "images" / f"{base.name}-on-official"
    with (
        one_at_a_time(beside.with_suffix(".lock"), f"image {base.name}", progress),
        scratch_folder(beside) as scratch,
    ):
        tree, context = scratch / "tree", scratch / "context"
        tree.mkdir()
        context.mkdir()
        base.add(tree, True, target, progress)
        pack_tree(tree, context / "tree.tar")
        settings = [f'ENV {name}="{value}"' for name, value in _environment(base).items()]
        content = [f"FROM {base.official}", "ADD tree.tar /", *settings, f"RUN {base.finish}"]
        lines = [*content, f"CMD {json.dumps(list(base.command))}"]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n", "utf-8")
        with progress.task(f"building {base.reference} on {base.official}"):
            engine.call(
                "build", "--network=none", f"--label={KEY_LABEL}={base.key(target)}",
                f"--tag={base.reference}", str(context), timeout_s=_BUILT_WITHIN_S,
            )  # fmt: skip


def _environment(base: Base) -> Mapping[str, str]:
    return {"PATH": _PATH, "LANG": "C.UTF-8", **base.environment}
