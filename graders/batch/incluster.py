"""Grades in pods of the instructor's cluster."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from graders.batch.distributed import DistributedExecutor
from graders.batch.executor import ExecutorOptions
from graders.batch.indexedjob import PodOptions
from graders.batch.jobforce import JobWorkforce
from graders.batch.objects import ObjectPlace
from graders.faults import UsageError
from graders.kube.client import Kube


def executor(options: ExecutorOptions) -> DistributedExecutor:
    """The cluster that a kubeconfig names.

    Raises:
        UsageError: an option lacks, or says what cannot be. InfraFault: the kubeconfig cannot be read.
    """
    given = options.given()
    for name, example in (("image", "registry.example.org/kubeproof:1"), ("objects", "s3://bucket/class")):
        if name not in given:
            raise UsageError(f"--executor kubernetes needs --{name}", fix=f"add --{name}, such as {example}")
    of_pods: dict[str, Any] = {
        name: value for name, value in given.items() if name not in ("kubeconfig", "context")
    }
    pods = replace(PodOptions(image=options.image, objects=options.objects), **of_pods)
    pods.check()
    place = ObjectPlace(pods.objects)
    named = options.kubeconfig or Path(os.environ.get("KUBECONFIG", "~/.kube/config")).expanduser()
    return DistributedExecutor(place, JobWorkforce(Kube(named, context=options.context or None), pods))
