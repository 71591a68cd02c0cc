"""The identity that experiments act with: the learner's own ServiceAccount, so that its RBAC decides."""

from dataclasses import dataclass
from pathlib import Path

from graders.clusters.kubeconfigs import token_kubeconfig
from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.sandbox.protocol import View

API_DOOR = "api"


@dataclass(frozen=True)
class ChaosAccount:
    """A ServiceAccount at one API server, by a token."""

    namespace: str
    name: str
    token: str
    server: str
    ca: bytes

    @property
    def user(self) -> str:
        """What the audit log calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def files(self, view: View) -> dict[str, bytes]:
        """Its kubeconfig, for a sandbox with the door `api`."""
        return {"kubeconfig": self._kubeconfig(f"https://{view.doors[API_DOOR]}").encode()}

    def kube(self, folder: Path) -> Kube:
        """The harness at the API server as this ServiceAccount; `folder` is private to the harness."""
        path = folder / "account.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(self._kubeconfig(self.server), encoding="utf-8")
        return Kube(path)

    def _kubeconfig(self, server: str) -> str:
        return token_kubeconfig(server, self.ca, self.token, "default")


def account_of(kube: Kube, namespace: str, name: str) -> ChaosAccount:
    """The ServiceAccount of that name, with a token of its own.

    Raises:
        ApiRefused: there is none.
    """
    path = resource_path("v1", "serviceaccounts", namespace=namespace, name=name, subresource="token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = str(kube.create(path, body)["status"]["token"])
    return ChaosAccount(namespace, name, token, kube.server, kube.ca_certificate())
