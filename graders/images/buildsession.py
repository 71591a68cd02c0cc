"""Where the images of one run are made, and from which they all go at its end.

Everything that is made here carries one label, which is written down beforehand in a folder that this process
owns: the next run removes what a dead one left.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from graders.faults import InfraFault
from graders.images.builder import build_image
from graders.images.buildspec import BuildLimits, BuildSpec, BuiltImage
from graders.images.context import write_context
from graders.images.dockerfile import Dockerfile
from graders.images.engine import BuildEngine
from graders.images.undo import write_journal
from graders.ownership import IMAGES, OwnedFolder
from graders.progress import Progress

LABEL = "kubeproof.dev/build"

REPOSITORY = "kubeproof.local"
"""What stands before the names of our images: no registry is called so."""


@dataclass(frozen=True)
class Bases:
    """What images may start from: by the offered name, the engine's reference to it.

    `additions` are folders, by offered name, whose folder `root` is laid over the root of that base: what
    one submission needs and the base lacks.
    """

    references: Mapping[str, str]
    additions: Mapping[str, Path] = field(default_factory=dict)


class BuildSession:
    """Makes images in the engine at `host`; a context manager that removes them all."""

    def __init__(self, host: str, progress: Progress) -> None:
        """Connect.

        Raises:
            InfraFault: no engine answers.
        """
        self._progress = progress
        self._id = uuid.uuid4().hex[:12]
        self.label = f"{LABEL}={self._id}"
        self.engine = BuildEngine(host)
        self._owned = OwnedFolder(IMAGES)
        write_journal(self._owned.path, host, self.label)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        # The journal says what is to be removed.
        self._owned.close()

    def build(
        self, name: str, root: Path, dockerfile: Dockerfile, bases: Bases, limits: BuildLimits
    ) -> tuple[str, BuiltImage]:
        """Build the submission at `root`; gives the name of its image and how that went.

        Raises:
            BadSubmission: there is too much to build from.
            InfraFault: the engine failed, or a base is not there.
        """
        images = {offered: self._base(offered, bases) for offered in dockerfile.bases}
        tag = f"{REPOSITORY}/{name}:{self._id}"
        context = self._owned.path / f"{name}.tar"
        write_context(root, dockerfile.rewritten({n: i for n, (i, _) in images.items()}, self.label), context)
        largest = max((size for _, size in images.values()), default=0)
        spec = BuildSpec(context, tag, self.label, largest, limits)
        with self._progress.task(f"building the image {name}") as task:
            built = build_image(self.engine, spec, task)
        context.unlink()
        return tag, built

    def _base(self, offered: str, bases: Bases) -> tuple[str, int]:
        """Id and size in bytes of what stands for an offered base."""
        found = self.engine.image(bases.references[offered])
        if found is None:
            raise InfraFault(f"the engine has no image {bases.references[offered]}, which is {offered}")
        identity, size_bytes = str(found["Id"]), int(found["Size"])
        if addition := bases.additions.get(offered):
            return self._with_addition(offered, identity, addition)
        return identity, size_bytes

    def _with_addition(self, offered: str, identity: str, addition: Path) -> tuple[str, int]:
        name = offered.replace("/", "-").replace(":", "-")
        context = self._owned.path / f"{name}.tar"
        recipe = f"FROM {identity}\nLABEL {self.label}\nCOPY root /\n"
        write_context(addition, recipe, context, most_bytes=None)
        spec = BuildSpec(context, f"{REPOSITORY}/{name}:{self._id}", self.label, 0, _OURS)
        with self._progress.task(f"adding what the submission needs to {offered}") as task:
            built = build_image(self.engine, spec, task)
        context.unlink()
        if built.problem:
            raise InfraFault(f"{offered} does not take what the submission needs: {built.problem}")
        return built.id, built.size_bytes


_OURS = BuildLimits(disk_bytes=1 << 40, image_bytes=1 << 40, file_bytes=1 << 40)
