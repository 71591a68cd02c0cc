"""The namespaces that tracks act in."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.polling import NotYet, TimedOut, wait_for


def create_namespaces(kube: Kube, names: Iterable[str], deadline_s: float) -> None:
    """Create them side by side and wait for each default ServiceAccount: pods need one.

    Raises:
        InfraFault: one did not come in six times `deadline_s`.
    """

    def create(name: str) -> None:
        labels = {"kubeproof.dev/track": "true"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        kube.create("/api/v1/namespaces", body)

        def account() -> None:
            if kube.find(f"/api/v1/namespaces/{name}/serviceaccounts/default") is None:
                raise NotYet(f"namespace {name} has no default ServiceAccount")

        try:
            wait_for(account, timeout_s=6 * deadline_s, interval_s=0.05)
        except TimedOut as error:
            raise InfraFault(str(error)) from error

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, names))
