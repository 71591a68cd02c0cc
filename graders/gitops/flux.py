"""Flux on the hub: its kinds, the way to each spoke, and the key that Secrets are decrypted with."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from graders.clusters.definitions import packed_definitions
from graders.faults import BadSubmission
from graders.gitops.hub import SETTINGS_FILE
from graders.gitops.seam import EngineSpec, FleetShape, GitOpsEngine
from graders.progress import Progress
from graders.scenario.fleet import LiveCluster
from graders.services.flux import NAMESPACE, flux
from graders.tools import Toolset, ensure

_SOURCES, _KUSTOMIZATIONS = "gitrepositories", "kustomizations"
_WAITS = "DependencyNotReady"


class FluxSetup:
    """Flux: GitRepositories and Kustomizations on the hub, and a kubeconfig for each spoke."""

    name, title, user, namespace = "flux", "Flux", "flux", NAMESPACE
    kinds = (
        ("source.toolkit.fluxcd.io/", "GitRepository"),
        ("kustomize.toolkit.fluxcd.io/", "Kustomization"),
    )
    processes = "kustomize-controller of Flux; a publisher of the grader's stands in for source-controller"
    watches: Mapping[str, str] = {
        "deployments": "/apis/apps/v1/deployments",
        _SOURCES: "/apis/source.toolkit.fluxcd.io/v1/gitrepositories",
        _KUSTOMIZATIONS: "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations",
        "events": f"/api/v1/namespaces/{NAMESPACE}/events",
    }

    def __init__(self, toolset: Toolset, shape: FleetShape, age_key: Path) -> None:
        """`age_key` is what Secrets are decrypted with that SOPS has encrypted."""
        self._toolset = toolset
        self._age_key = age_key
        self.shape = shape

    def examine(self, root: Path) -> None:
        """See that there are no settings of another engine, and no charts to deploy; raises BadSubmission."""
        if (root / SETTINGS_FILE).is_file():
            raise BadSubmission(
                "Flux has no settings there", file=SETTINGS_FILE,
                fix="remove the file: it is for Argo CD; health is a matter of healthCheckExprs with Flux",
            )  # fmt: skip

        for environment in self.shape.environments:
            chart = f"clusters/{environment}/Chart.yaml"
            if (root / chart).is_file():
                raise BadSubmission(
                    "Flux deploys no chart here: helm-controller does not run", file=chart,
                    fix="hand in a kustomization for the environment, or write engine: argocd",
                )  # fmt: skip

    def program(self, progress: Progress) -> Path:
        """kustomize-controller; raises InfraFault."""
        return ensure(self._toolset, progress).path("kustomize-controller")

    def definitions(self) -> list[dict[str, Any]]:
        """Kustomizations, and all kinds of sources that the controller watches."""
        return packed_definitions(Path(__file__).with_name("flux-crds.json.gz"))

    def furnish(self, hub: LiveCluster, spokes: Sequence[LiveCluster], root: Path) -> None:  # noqa: ARG002
        """Bring the namespace, a kubeconfig of the engine for each spoke, and the key for Secrets."""
        hub.kube.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        kept = {
            f"{spoke.name}-kubeconfig": {
                "value": spoke.cluster.identities[self.shape.user].read_text("utf-8")
            }
            for spoke in spokes
        }
        for name, data in {**kept, "sops-age": {"lab.agekey": self._age_key.read_text("utf-8")}}.items():
            body = {"metadata": {"name": name}, "stringData": data}
            hub.kube.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", body)

    def running(self, spec: EngineSpec) -> AbstractContextManager[GitOpsEngine]:
        """kustomize-controller, and our publisher."""
        identity = spec.hub.cluster.identities[self.user]
        return flux(spec.owner, spec.folder, identity, spec.program, spec.repository_url)

    def tried(self, hub: LiveCluster, environment: str, names: Sequence[str]) -> bool:
        """Whether a Kustomization of the environment failed on one of them, or waits while another did.

        One that waits while none did waits for an earlier commit to get through.
        """
        there = hub.watches.everything(_KUSTOMIZATIONS)
        failed = [
            (environment_of(each), condition.get("reason"), str(condition.get("message")))
            for each in there
            for condition in _failures(each)
        ]
        named = {place for place, _, message in failed if any(name in message for name in names)}
        waiting = {place for place, reason, _ in failed if reason == _WAITS}
        return environment in (named | waiting if named else ())

    def complaint(self, hub: LiveCluster) -> str:
        """What a source or a Kustomization says that is not ready; one that only waits says nothing."""
        for resource in (_SOURCES, _KUSTOMIZATIONS):
            for each in hub.watches.everything(resource):
                named = f"{each.get('kind', resource)} {each['metadata']['name']}"
                if (each.get("spec") or {}).get("suspend"):
                    return f"{named} is suspended"
                for condition in _failures(each):
                    if condition.get("reason") != _WAITS:
                        message = str(condition.get("message"))[:400]
                        return f"{named}: {message}"
        return ""


def environment_of(kustomization: Mapping[str, Any]) -> str:
    """The environment whose kubeconfig a Kustomization uses; empty where it is for the hub."""
    reference = ((kustomization.get("spec") or {}).get("kubeConfig") or {}).get("secretRef") or {}
    return str(reference.get("name", "")).removesuffix("-kubeconfig")


def _failures(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for condition in (item.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "False":
            yield condition
