"""Kyverno's admission controller as a process of this machine, beside one API server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from graders.kube.client import Kube
from graders.ownership import OwnedFolder
from graders.ports import held_ports
from graders.services.readiness import Reaching, is_asked, serves
from graders.services.service import Service, ServiceSpec

NAMESPACE = "kyverno"
_ACCOUNT = "kyverno-admission-controller"
_OTHERS = ("kyverno-background-controller", "kyverno-reports-controller")
"""Accounts of controllers that do not run; a policy is ready when these could read what it is about."""
_CONFIG, _METRICS = "kyverno", "kyverno-metrics"
_TLS = f"kyverno-svc.{NAMESPACE}.svc.kyverno-tls"
_READY_WITHIN_S = 120.0
_NOWHERE = "http://127.0.0.1:1"
_EXCLUDED = ("kube-system", "kube-public", "kube-node-lease", NAMESPACE)
_FILTERS = (
    "[Event,*,*] [*/*,kube-system,*] [*/*,kube-public,*] [*/*,kube-node-lease,*] [Node,*,*] [Node/?*,*,*] "
    "[APIService,*,*] [TokenReview,*,*] [SubjectAccessReview,*,*] [SelfSubjectAccessReview,*,*] "
    "[Binding,*,*] [Pod/binding,*,*] [ReplicaSet,*,*] [ReplicaSet/?*,*,*] "
    f"[*/*,{NAMESPACE},*]"
)
"""What Kyverno never looks at, as its Helm chart has it."""
_POLICIES = "/apis/policies.kyverno.io/v1/validatingpolicies"
_NONSENSE = {
    "apiVersion": "policies.kyverno.io/v1",
    "kind": "ValidatingPolicy",
    "metadata": {"name": "lab-does-not-compile"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ]
        },
        "validations": [{"expression": "this is no expression"}],
    },
}
"""A policy that Kyverno refuses: who gets its refusal knows that the API server reaches it."""


class Kyverno:
    """The admission controller of one API server; its user there is an administrator."""

    def __init__(self, service: Service, kube: Kube) -> None:
        self._service, self._kube = service, kube

    def furnish(self) -> None:
        """Bring the namespace, accounts and settings that its Helm chart would bring."""
        self._kube.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        for name in (_ACCOUNT, *_OTHERS):
            self._kube.create(accounts, {"metadata": {"name": name}})
        self._grant()
        selector = {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(_EXCLUDED)}
            ]
        }
        settings = {
            "enableDefaultRegistryMutation": "true",
            "defaultRegistry": "docker.io",
            "generateSuccessEvents": "false",
            "excludeGroups": "system:nodes",
            "resourceFilters": _FILTERS,
            "webhooks": json.dumps({"namespaceSelector": selector}),
        }
        for name, data in {_CONFIG: settings, _METRICS: {}}.items():
            path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
            self._kube.create(path, {"metadata": {"name": name}, "data": data})

    def _grant(self) -> None:
        """Let the controllers that do not run read everything."""
        group, name = "rbac.authorization.k8s.io", "kyverno:readers"
        rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        path = f"/apis/{group}/v1"
        self._kube.create(f"{path}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
        subjects = [{"kind": "ServiceAccount", "name": each, "namespace": NAMESPACE} for each in _OTHERS]
        role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
        binding = {"metadata": {"name": name}, "roleRef": role, "subjects": subjects}
        self._kube.create(f"{path}/clusterrolebindings", binding)

    def start(self) -> None:
        """Start it, and return when the API server reaches it.

        Raises:
            InfraFault: it does not get ready.
        """
        self._service.start()
        self._service.wait_ready(_READY_WITHIN_S)

    def kill(self) -> None:
        """SIGKILL it; its webhooks stay, and the API server denies what they are about."""
        self._service.kill()

    def check_alive(self) -> None:
        """See that it runs.

        Raises:
            InfraFault: it does not.
        """
        self._service.check_alive()


@contextmanager
def kyverno(
    owner: OwnedFolder,
    folder: Path,
    kube: Kube,
    kubeconfig: Path,
    program: Path,
    reaching: Reaching = nullcontext,
) -> Iterator[Kyverno]:
    """Kyverno for one API server, where it is who `kubeconfig` says, not started; it ends with the block.

    `kube` is an administrator's; `folder` is a new one for all it writes; `reaching` lets the API server
    reach it. Image registries on loopback are spoken to in plain HTTP; policies make no calls of their own,
    and nothing beyond this machine is reached.
    """
    with held_ports(3) as (port, metrics, profiling):
        at = "127.0.0.1"
        command: list[str | Path] = [
            program, "--kubeconfig", kubeconfig, f"--serverIP={at}:{port}", f"--webhookServerHost={at}",
            f"--webhookServerPort={port}", f"--caSecretName={_TLS}-ca", f"--tlsSecretName={_TLS}-pair",
            f"--backgroundServiceAccountName=system:serviceaccount:{NAMESPACE}:{_OTHERS[0]}",
            f"--reportsServiceAccountName=system:serviceaccount:{NAMESPACE}:{_OTHERS[1]}",
            "--disableLogColor", f"--metricsHost={at}", f"--metricsPort={metrics}", f"--profileAddress={at}",
            f"--profilePort={profiling}", "--controllerRuntimeMetricsAddress=0", "--admissionReports=false",
            "--enableReporting=", "--autoMemLimitEnabled=false", "--tlsKeyAlgorithm=ECDSA",
            "--omitEvents=PolicyApplied,PolicySkipped,PolicyViolation,PolicyError",
            "--httpBlocklist=0.0.0.0/0,::/0",
        ]  # fmt: skip
        environment = {
            "KYVERNO_NAMESPACE": NAMESPACE,
            "KYVERNO_SERVICEACCOUNT_NAME": _ACCOUNT,
            "KYVERNO_DEPLOYMENT": "none",
            "KYVERNO_POD_NAME": "none",
            "INIT_CONFIG": _CONFIG,
            "METRICS_CONFIG": _METRICS,
            "TMPDIR": str(folder),
            # What a policy names beyond this machine is not reached; loopback goes past a proxy.
            "HTTP_PROXY": _NOWHERE,
            "HTTPS_PROXY": _NOWHERE,
        }

        def ready() -> None:
            serves(f"https://127.0.0.1:{port}/health/readiness", own_authority=True)
            is_asked("Kyverno", kube, _POLICIES, _NONSENSE)

        log = folder / f"{folder.name}.log"
        spec = ServiceSpec(folder.name, command, folder, log, environment, ready=ready)
        with reaching(port), Service(spec, owner) as service:
            yield Kyverno(service, kube)
