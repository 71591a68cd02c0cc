"""Gatekeeper as a process of this machine, beside one API server, which denies what it cannot ask it about.

In a cluster a Service leads to it once it is ready, and not before: it serves some time before it has read
the constraints, and admits everything until then. Here a gate does that, which is shut while it is not ready,
and until every constraint has a status of this start: on a busy machine it says sooner that it is ready.
"""

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.kube.client import Kube
from graders.ownership import OwnedFolder
from graders.polling import NotYet, TimedOut, await_ready, wait_for
from graders.ports import held_ports
from graders.services.readiness import Reaching, is_asked, serves
from graders.services.service import Service, ServiceSpec

NAMESPACE = "gatekeeper-system"
_POD = "gatekeeper-controller-manager"
_IGNORED = "admission.gatekeeper.sh/ignore"
_UNTOUCHED = ("kube-system", "kube-public", "kube-node-lease", NAMESPACE)
_CONFIGURATION = "gatekeeper-validating-webhook-configuration"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_READY_WITHIN_S, _ASKED_WITHIN_S = 120.0, 30.0
_ENFORCED_WITHIN_S = 15.0
"""A constraint of a template that does not compile never gets a status."""
_LONGEST_REVIEW_S = 3
_RESOURCES = (
    "*", "pods/ephemeralcontainers", "pods/exec", "pods/log", "pods/eviction", "pods/portforward",
    "pods/proxy", "pods/attach", "pods/binding", "pods/resize", "deployments/scale", "replicasets/scale",
    "statefulsets/scale", "replicationcontrollers/scale", "services/proxy", "nodes/proxy", "services/status",
)  # fmt: skip
"""What its own manifests have it asked about."""
_NOISE = '!(request.resource.resource in ["events", "leases", "endpoints", "endpointslices"])'
_REVIEWS = '!(request.resource.group in ["authentication.k8s.io", "authorization.k8s.io"])'
_CONSTRAINTS = "/apis/constraints.gatekeeper.sh/v1beta1"
_STATUSES = f"/apis/status.gatekeeper.sh/v1beta1/namespaces/{NAMESPACE}/constraintpodstatuses"
_TEMPLATES = "/apis/templates.gatekeeper.sh/v1/constrainttemplates"
_NONSENSE = {
    "apiVersion": "templates.gatekeeper.sh/v1",
    "kind": "ConstraintTemplate",
    "metadata": {"name": "labhasanothername"},
    "spec": {
        "crd": {"spec": {"names": {"kind": "LabSaysSomethingElse"}}},
        "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": "package nothing"}],
    },
}
"""A template that Gatekeeper refuses: who gets its refusal knows that the API server reaches it."""


Leading = Callable[[socket.socket, tuple[str, int]], AbstractContextManager[None]]
"""Leads what knocks at a listener to a host and port, while its block runs."""


@dataclass(frozen=True)
class WebhookServing:
    """How it serves: a folder with tls.crt and tls.key, the PEM of who issued them, and what leads to it.

    `reaching` lets the API server reach it.
    """

    certificates: Path
    authority: bytes
    leading: Leading
    reaching: Reaching = nullcontext


class Gatekeeper:
    """The webhook of one API server and what leads to it; its user there is an administrator."""

    def __init__(self, service: Service, kube: Kube, ports: tuple[int, int], serving: WebhookServing) -> None:
        """`ports` are where it is asked, and where it serves."""
        self._service, self._kube = service, kube
        self._gate_port, self._port = ports
        self._serving = serving
        self._gate = ExitStack()

    def furnish(self) -> None:
        """Bring its namespace, and the pod that it takes itself for: what it reports belongs to that."""
        meta = {"name": NAMESPACE, "labels": {_IGNORED: "no-self-managing"}}
        self._kube.create("/api/v1/namespaces", {"metadata": meta})
        container = {"name": "manager", "image": "gatekeeper"}
        # Nobody runs it: it is there to be named as the owner.
        spec = {"containers": [container], "schedulerName": "none", "automountServiceAccountToken": False}
        self._kube.create(f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": _POD}, "spec": spec})

    def start(self) -> None:
        """Start it, and return when the API server reaches it.

        Raises:
            InfraFault: it does not get ready.
        """
        for each in await_ready("what Gatekeeper says", lambda: self._listed(_STATUSES), _ASKED_WITHIN_S):
            self._kube.delete(f"{_STATUSES}/{each['metadata']['name']}")
        self._service.start()
        self._service.wait_ready(_READY_WITHIN_S)
        with suppress(TimedOut):
            wait_for(self._enforces, timeout_s=_ENFORCED_WITHIN_S, interval_s=0.05)
        self._open_gate()
        if self._kube.find(f"{_CONFIGURATIONS}/{_CONFIGURATION}") is None:
            self._kube.create(_CONFIGURATIONS, self._configuration())

        def asked() -> None:
            is_asked("Gatekeeper", self._kube, _TEMPLATES, _NONSENSE)

        await_ready("the way to Gatekeeper", asked, _ASKED_WITHIN_S)

    def kill(self) -> None:
        """SIGKILL it; its webhook stays, and the API server denies what it is about."""
        self._gate.close()
        self._service.kill()

    def check_alive(self) -> None:
        """See that it runs.

        Raises:
            InfraFault: it does not.
        """
        self._service.check_alive()

    def close(self) -> None:
        """Shut the gate."""
        self._gate.close()

    def _enforces(self) -> None:
        """Raise `NotYet` unless it has taken, or refused, every constraint that is there."""
        kinds = (kind["name"] for kind in self._listed(_CONSTRAINTS, "resources"))
        names = [name for name in kinds if "/" not in name]
        there = {one["metadata"]["uid"] for name in names for one in self._listed(f"{_CONSTRAINTS}/{name}")}
        told = (one.get("status") or {} for one in self._listed(_STATUSES))
        taken = {one.get("constraintUID") for one in told if one.get("enforced") or one.get("errors")}
        if missing := there - taken:
            raise NotYet(f"{len(missing)} constraints are not in force")

    def _listed(self, path: str, field: str = "items") -> list[dict[str, Any]]:
        answer = self._kube.request("GET", path)
        if not answer.ok and answer.code != 404:
            # Of a kind that is new the storage is not there yet.
            raise NotYet(answer.message)
        return list(answer.body[field]) if answer.ok else []

    def _open_gate(self) -> None:
        listener = self._gate.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._gate_port))
        listener.listen(128)
        self._gate.enter_context(self._serving.leading(listener, ("127.0.0.1", self._port)))

    def _configuration(self) -> dict[str, Any]:
        """Its own webhook configuration, but that it fails closed and is not asked about noise."""
        everywhere = [{"key": _IGNORED, "operator": "DoesNotExist"}]
        not_system = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(_UNTOUCHED)}
        at = f"https://127.0.0.1:{self._gate_port}"
        shared = {
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "matchPolicy": "Exact",
            "sideEffects": "None",
            "timeoutSeconds": _LONGEST_REVIEW_S,
        }
        operations, versions = ["CREATE", "UPDATE"], ["*"]
        bundle = base64.b64encode(self._serving.authority).decode()
        admit = {
            **shared,
            "name": "validation.gatekeeper.sh",
            "clientConfig": {"url": f"{at}/v1/admit", "caBundle": bundle},
            "namespaceSelector": {"matchExpressions": [*everywhere, not_system]},
            "rules": [
                {
                    "apiGroups": ["*"],
                    "apiVersions": versions,
                    "operations": operations,
                    "resources": _RESOURCES,
                }
            ],
            "matchConditions": [
                {"name": "no-noise", "expression": _NOISE},
                {"name": "no-reviews", "expression": _REVIEWS},
            ],
        }
        label = {
            **shared,
            "name": "check-ignore-label.gatekeeper.sh",
            "clientConfig": {"url": f"{at}/v1/admitlabel", "caBundle": bundle},
            "namespaceSelector": {"matchExpressions": [not_system]},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": versions,
                    "operations": operations,
                    "resources": ["namespaces"],
                }
            ],
        }
        meta = {"name": _CONFIGURATION, "labels": {"gatekeeper.sh/system": "yes"}}
        return {"metadata": meta, "webhooks": [admit, label]}


@contextmanager
def gatekeeper(
    owner: OwnedFolder, folder: Path, kube: Kube, kubeconfig: Path, program: Path, serving: WebhookServing
) -> Iterator[Gatekeeper]:
    """Gatekeeper for one API server, where it is who `kubeconfig` says, not started; it ends with the block.

    `kube` is an administrator's; `folder` is a new one for all it writes. It audits and mutates nothing.
    """
    with held_ports(3) as (gate, port, health):
        at = "127.0.0.1"
        command: list[str | Path] = [
            program, "--kubeconfig", kubeconfig, f"--host={at}", f"--port={port}",
            f"--cert-dir={serving.certificates}", "--disable-cert-rotation",
            f"--health-addr={at}:{health}", "--operation=webhook", "--operation=status",
            "--operation=generate", f"--exempt-namespace={NAMESPACE}",
            # Nothing of a policy's goes over a network.
            "--disable-opa-builtin=http.send", "--enable-external-data=false",
            "--shutdown-delay=0",
            # Its other way to tell of its metrics listens on every address of the machine.
            "--metrics-backend=opentelemetry", f"--otlp-endpoint={at}:1", "--otlp-metric-interval=1h",
        ]  # fmt: skip
        environment = {"POD_NAME": _POD, "POD_NAMESPACE": NAMESPACE, "NAMESPACE": NAMESPACE}
        environment["TMPDIR"] = str(folder)
        log = folder / f"{folder.name}.log"

        def ready() -> None:
            # It says so once it has read every template and constraint that is there.
            serves(f"http://127.0.0.1:{health}/readyz")

        spec = ServiceSpec(folder.name, command, folder, log, environment, ready=ready)
        service = Service(spec, owner)
        made = Gatekeeper(service, kube, (gate, port), serving)
        with serving.reaching(gate), service, closing(made):
            yield made
