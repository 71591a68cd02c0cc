"""Grades in pods of the instructor's cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from graders.batch.distributed import DistributedExecutor
from graders.batch.executor import ExecutorOptions
from graders.batch.indexedjob import PodOptions
from graders.batch.jobforce import JobWorkforce
from graders.batch.objects import ObjectPlace
from graders.clusters.existing.kubeconfig import find_kubeconfig, isolated
from graders.faults import UsageError
from graders.kube.client import Kube
from graders.ownership import OwnedFolder
from graders.wholefile import write_whole

_WHOSE = ("kubeconfig", "context")


@contextmanager
def executor(options: ExecutorOptions) -> Iterator[DistributedExecutor]:
    """The cluster of a kubeconfig's context.

    Raises:
        UsageError: an option lacks, or says what cannot be. InfraFault: the kubeconfig cannot be used.
    """
    given = options.given()
    for name, example in (("image", "registry.example.org/kubeproof:1"), ("objects", "s3://bucket/class")):
        if name not in given:
            raise UsageError(f"--executor kubernetes needs --{name}", fix=f"add --{name}, such as {example}")
    of_pods: dict[str, Any] = {name: value for name, value in given.items() if name not in _WHOSE}
    pods = replace(PodOptions(image=options.image, objects=options.objects), **of_pods)
    pods.check()
    place = ObjectPlace(pods.objects)
    kubeconfig = isolated(find_kubeconfig(options.kubeconfig), options.context)
    # Whoever reads a kubeconfig puts keys beside it: not beside a person's own.
    with OwnedFolder("batch", "kubeconfig") as folder:
        copy = folder.path / "kubeconfig"
        write_whole(copy, kubeconfig, mode=0o600)
        yield DistributedExecutor(place, JobWorkforce(Kube(copy), pods))
