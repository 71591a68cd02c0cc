"""The Indexed Job of a plan, as a manifest; pure.

Its pods need no privileges: the cluster of a grading runs inside the pod, and learner code in a sandbox
inside that. What the sandbox needs is a user namespace of the pod's own (`hostUsers: false`), in which it may
make another; so neither root nor a capability of the node's is ever given.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from graders.faults import UsageError

CONTAINER = "grader"
PLAN_LABEL = "kubeproof.dev/plan"
PLACE_LABEL = "kubeproof.dev/place"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

USER = 10001
"""Whom the image runs as: no name of the node's."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9./:@_-]{0,254}")
_DISK = "4Gi"
"""Promised, and not limited: a pod that is evicted for having more would be replaced for ever."""
_KEPT_S = 7 * 86400
_AROUND_S = 900
_LEAVES_S = 40
_NODE_GONE_S = 60


@dataclass(frozen=True, kw_only=True)
class PodOptions:
    """What grades, and with what: of `secret` all keys become environment, `claim` is mounted at the folder.

    `cpu` and `memory` are Kubernetes quantities: what a pod is promised, and of memory the most it gets.
    """

    image: str
    objects: str
    namespace: str = "kubeproof"
    queue: str = ""
    secret: str = ""
    claim: str = ""
    cpu: str = "1"
    memory: str = "3Gi"
    tries: int = 3
    """Workers that an index has at most; a disruption, such as a drained node, costs none of them."""

    def check(self) -> None:
        """See that the API server would take all of it.

        Raises:
            UsageError: something could not be, or does not go together.
        """
        for option, value, shape in (
            ("image", self.image, _IMAGE),
            ("namespace", self.namespace, _NAME),
            ("queue", self.queue, _NAME),
            ("secret", self.secret, _NAME),
            ("claim", self.claim, _NAME),
            ("cpu", self.cpu, _QUANTITY),
            ("memory", self.memory, _QUANTITY),
        ):
            if (value or option in ("image", "namespace", "cpu", "memory")) and not shape.fullmatch(value):
                raise UsageError(
                    f"--{option} {value!r} is none",
                    fix=f"give what Kubernetes takes as --{option}",
                )
        folder = self.objects.startswith("file://")
        if folder and not self.claim:
            raise UsageError(
                f"pods do not see the folder {self.objects}",
                fix="name a claim that is the same folder with --claim, or a bucket with --objects s3://...",
            )
        if self.claim and not folder:
            raise UsageError(
                f"--claim is for a folder, and --objects is {self.objects}", fix="leave --claim out"
            )


def place_label(objects: str) -> str:
    """Tells the Jobs that work with one place from others; a label cannot hold a URL."""
    return hashlib.sha256(objects.rstrip("/").encode()).hexdigest()[:16]


def job_name(plan: str) -> str:
    """The name of a plan's Job."""
    return f"kubeproof-{plan}"


def indexed_job(options: PodOptions, plan: str, works: int, at_once: int, most_s: float) -> dict[str, Any]:
    """The Job that has a pod for each of the `works` of a plan, `at_once` of them at a time."""
    labels = {
        "app.kubernetes.io/name": "kubeproof",
        "app.kubernetes.io/component": "batch",
        PLAN_LABEL: plan,
        PLACE_LABEL: place_label(options.objects),
    }
    queued = {QUEUE_LABEL: options.queue} if options.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(plan),
            "namespace": options.namespace,
            "labels": labels | queued,
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": works,
            "parallelism": min(at_once, works),
            "backoffLimitPerIndex": options.tries - 1,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _rules()},
            "ttlSecondsAfterFinished": _KEPT_S,
            # Kueue starts it when the queue has room for it.
            "suspend": bool(options.queue),
            "template": {"metadata": {"labels": labels}, "spec": _pod(options, plan, most_s)},
        },
    }


def _rules() -> list[dict[str, Any]]:
    """What a pod's end means; the first that fits."""

    def on_exit(code: int, action: str) -> Mapping[str, Any]:
        codes = {"containerName": CONTAINER, "operator": "In", "values": [code]}
        return {"action": action, "onExitCodes": codes}

    return [
        # Evicted, drained, preempted: not the worker's doing.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        # Other code: no index would be graded right.
        dict(on_exit(4, "FailJob")),
        dict(on_exit(2, "FailIndex")),
        # The harness failed. A learner's fault is a result, and ends with 0.
        dict(on_exit(3, "Count")),
    ]


def _pod(options: PodOptions, plan: str, most_s: float) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {}}]
    mounts = [{"name": "scratch", "mountPath": "/tmp"}]  # noqa: S108  (the container's, empty and its own)
    if options.claim:
        volumes.append({"name": "objects", "persistentVolumeClaim": {"claimName": options.claim}})
        mounts.append({"name": "objects", "mountPath": urlsplit(options.objects).path})
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        "args": ["batch-worker", "--objects", options.objects, "--plan", plan],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "KUBEPROOF_AT_ONCE", "value": "1"}],  # noqa: S108
        "resources": {
            "requests": {"cpu": options.cpu, "memory": options.memory, "ephemeral-storage": _DISK},
            "limits": {"memory": options.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            # A sandbox has a /proc of its own, which the kernel gives only to who sees all of the pod's.
            "procMount": "Unmasked",
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    if options.secret:
        container["envFrom"] = [{"secretRef": {"name": options.secret}}]
    return {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(most_s) + _AROUND_S,
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "hostUsers": False,
        "securityContext": {
            "appArmorProfile": {"type": "Unconfined"},
            "fsGroup": USER,
            "runAsGroup": USER,
            "runAsNonRoot": True,
            "runAsUser": USER,
            # The default profile forbids user namespaces to whoever has no capability, and so the sandbox.
            "seccompProfile": {"type": "Unconfined"},
        },
        "terminationGracePeriodSeconds": _LEAVES_S,
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{trouble}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _NODE_GONE_S,
            }
            for trouble in ("not-ready", "unreachable")
        ],
        "volumes": volumes,
    }
