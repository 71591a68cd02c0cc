"""An API server with an etcd and nothing else: it says what it takes of objects that nobody acts upon."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graders.clusters.binaries import Binaries
from graders.clusters.control import EmbeddedControl, control_plane
from graders.clusters.provider import ClusterSpec
from graders.clusters.readiness import answers
from graders.kube.client import Kube
from graders.ownership import OwnedFolder


@contextmanager
def bare_api(
    name: str, binaries: Binaries, golden: Path | None = None
) -> Iterator[tuple[Kube, EmbeddedControl]]:
    """An API server that answers, on the data `golden` where there are some; gone when the block ends.

    Raises:
        InfraFault: it does not come up.
    """
    spec = ClusterSpec(name=name, nodes=(), golden=golden)
    with OwnedFolder("cluster", name) as folder, control_plane(folder, binaries, spec) as control:
        for program in ("etcd", "kube-apiserver"):
            control.start(program)
        kube = Kube(control.commands.kubeconfig)
        control.until(lambda: answers(kube, "/readyz"))
        yield kube, control
