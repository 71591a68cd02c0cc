"""Flux as processes of this machine: kustomize-controller, and a publisher in place of source-controller."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx

from graders.boundedprograms import bounded
from graders.faults import InfraFault
from graders.ownership import OwnedFolder
from graders.ports import held_ports
from graders.services.group import ServiceGroup
from graders.services.readiness import serves
from graders.services.service import Service, ServiceSpec

NAMESPACE = "flux-system"
_READY_WITHIN_S = 60.0
_ANSWERS_WITHIN_S = 10.0
_FIRST = "admissionregistration.k8s.io/ValidatingAdmissionPolicy,templates.gatekeeper.sh/ConstraintTemplate"
"""Kinds that are applied before the rest of a Kustomization: who binds a policy with parameters has to be
allowed to read them, and an API server can say that only once the policy is there."""
_MOST_MEMORY_MIB = 3072
"""It renders what learners wrote in its own process, and a few lines of YAML can ask for all there is."""
_CONCURRENT = 20
"""A Kustomization that waits for health keeps a worker busy all the while."""


class Flux(ServiceGroup):
    """The engine's processes, and what they keep: every artifact and whatever lies about."""

    def __init__(self, services: tuple[Service, ...], kept: tuple[Path, ...], publisher: str) -> None:
        super().__init__(services, _READY_WITHIN_S)
        self._kept = kept
        self._publisher = publisher

    def tell(self) -> None:
        """Have the publisher look at Git now, as a receiver of webhooks would.

        Raises:
            InfraFault: it does not answer.
        """
        try:
            with httpx.Client(trust_env=False, timeout=_ANSWERS_WITHIN_S) as client:
                client.post(f"{self._publisher}/tell").raise_for_status()
        except (OSError, httpx.HTTPError) as error:
            raise InfraFault(f"the publisher does not answer: {error}") from error

    def start(self) -> None:
        """Start all where they can keep things; raises InfraFault where one does not get ready."""
        for folder in self._kept:
            folder.mkdir(parents=True, exist_ok=True)
        super().start()

    def kill(self) -> None:
        """SIGKILL all, with all that they kept."""
        super().kill()
        for folder in self._kept:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def flux(
    owner: OwnedFolder, folder: Path, kubeconfig: Path, controller: Path, repository_url: str
) -> Iterator[Flux]:
    """Flux for the hub, where it is who `kubeconfig` says, not started; it ends with the block.

    `folder` is a new one for all it writes; `repository_url` is what GitRepositories may name.
    """
    storage, temporary = folder / "artifacts", folder / "tmp"
    folder.mkdir(parents=True)
    with held_ports(3) as (artifacts, metrics, health), ExitStack() as running:
        at = "127.0.0.1"
        base = f"http://{at}:{artifacts}"
        environment = {
            "KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": NAMESPACE, "TMPDIR": str(temporary),
            # The package is where this module is, whatever the folder: it is started by its own path.
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }  # fmt: skip

        def service(name: str, command: list[str | Path], ready: str) -> Service:
            log, probe = folder / f"{name}.log", partial(serves, ready)
            spec = ServiceSpec(name, command, folder, log, environment, ready=probe)
            return running.enter_context(Service(spec, owner))

        publisher = service(
            "publisher",
            [
                sys.executable, "-P", "-m", "graders.services.publisher", kubeconfig, NAMESPACE,
                repository_url, storage, str(artifacts),
            ],
            f"{base}/",
        )  # fmt: skip
        kustomize = service(
            "kustomize-controller",
            [
                *bounded(_MOST_MEMORY_MIB), controller,
                "--watch-all-namespaces=false", "--log-level=info", "--log-encoding=json",
                f"--events-addr={base}/events", f"--metrics-addr={at}:{metrics}",
                f"--health-addr={at}:{health}", "--requeue-dependency=2s", "--http-retry=2",
                "--no-remote-bases", "--no-cross-namespace-refs", f"--concurrent={_CONCURRENT}",
                "--feature-gates=DisableCommitStatusEvent=true", f"--custom-apply-stage-kinds={_FIRST}",
            ],
            f"http://{at}:{health}/readyz",
        )  # fmt: skip
        yield Flux((publisher, kustomize), (storage, temporary), base)
