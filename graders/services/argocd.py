"""Argo CD as processes of this machine: its cache, repository server, application sets, and controller."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from graders.boundedprograms import write_bounded
from graders.faults import InfraFault
from graders.kube.client import MERGE_PATCH, Kube
from graders.ownership import OwnedFolder
from graders.polling import NotYet
from graders.ports import held_ports
from graders.services.group import ServiceGroup
from graders.services.readiness import serves
from graders.services.service import Service, ServiceSpec

NAMESPACE = "argocd"
_APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
_REFRESH = "argocd.argoproj.io/refresh"
_READY_WITHIN_S = 90.0
_RENDERS_WITHIN_MIB = 1024
_NOWHERE_ELSE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "http",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}
"""What an Application or a kustomization names is fetched from loopback, or not at all: no proxy is there."""
_VERIFY = "#!/bin/sh\n# Argo CD calls it for every revision; no signature is asked for.\nexit 0\n"


@dataclass(frozen=True)
class EnginePrograms:
    """Where the programs of the engine are."""

    argocd: Path
    kustomize: Path
    helm: Path | None


class ArgoCD(ServiceGroup):
    """The engine's processes, its cache among them."""

    def __init__(self, services: tuple[Service, ...], hub: Kube) -> None:
        super().__init__(services, _READY_WITHIN_S)
        self._hub = hub

    def tell(self) -> None:
        """Have every Application look at Git now: what Argo CD's webhook does, on its own terms."""
        body = {"metadata": {"annotations": {_REFRESH: "normal"}}}
        for item in self._hub.get(_APPLICATIONS)["items"]:
            path = f"{_APPLICATIONS}/{item['metadata']['name']}"
            self._hub.request("PATCH", path, body=body, content_type=MERGE_PATCH)


def find_redis() -> str:
    """The program redis-server.

    Raises:
        InfraFault: this machine has none.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise InfraFault(
            "Argo CD keeps its cache in Redis, and this machine has no redis-server",
            fix="install it, on Debian with `apt-get install redis-server`",
        )
    return found


@contextmanager
def argocd(
    owner: OwnedFolder, folder: Path, hub: Kube, kubeconfig: Path, programs: EnginePrograms
) -> Iterator[ArgoCD]:
    """Argo CD for `hub`, where it is who `kubeconfig` says, not started; it ends with the block.

    `folder` is a new one for all it writes.

    Raises:
        InfraFault: this machine has no Redis.
    """
    redis = find_redis()
    programs_folder = folder / "programs"
    for each in (programs_folder, *(folder / name for name in ("tls", "ssh", "gpg", "tmp"))):
        each.mkdir(parents=True)
    for name, tool in {"kustomize": programs.kustomize, "helm": programs.helm}.items():
        if tool is not None:
            write_bounded(programs_folder / name, tool, _RENDERS_WITHIN_MIB)
    verify = programs_folder / "git-verify-wrapper.sh"
    verify.write_text(_VERIFY, encoding="utf-8")
    verify.chmod(0o755)
    environment = {
        "PATH": f"{programs_folder}:/usr/bin:/bin",
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_GNUPGHOME": str(folder / "gpg"),
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        **_NOWHERE_ELSE,
    }
    with held_ports(7) as ports, ExitStack() as running:
        cache, repo, repo_metrics, sets_metrics, sets_probe, sets_hook, metrics = ports
        at = "127.0.0.1"
        redis_at, repo_at = f"{at}:{cache}", f"{at}:{repo}"

        def service(name: str, command: list[str | Path], port: int, path: str = "") -> Service:
            spec = ServiceSpec(
                name=name,
                command=command,
                folder=folder,
                log=folder / f"{name}.log",
                environment={**environment, "ARGOCD_BINARY_NAME": name},
                ready=partial(_answers, port, path),
            )
            return running.enter_context(Service(spec, owner))

        program = programs.argocd
        yield ArgoCD(
            (
                service(
                    "redis-server",
                    [redis, "--port", str(cache), "--bind", at, "--save", "", "--appendonly", "no"],
                    cache,
                ),
                service(
                    "argocd-repo-server",
                    [
                        program, "--address", at, "--port", str(repo), "--metrics-address", at,
                        "--metrics-port", str(repo_metrics), "--redis", redis_at, "--disable-tls",
                        "--client-ca-path=", "--revision-cache-expiration", "5s",
                    ],
                    repo,
                ),
                service(
                    "argocd-applicationset-controller",
                    [
                        program, "-n", NAMESPACE, "--argocd-repo-server", repo_at, "--repo-server-plaintext",
                        "--enable-progressive-syncs", "--metrics-addr", f"{at}:{sets_metrics}",
                        "--probe-addr", f"{at}:{sets_probe}", "--webhook-addr", f"{at}:{sets_hook}",
                    ],
                    sets_probe,
                ),
                service(
                    "argocd-application-controller",
                    [
                        program, "-n", NAMESPACE, "--redis", redis_at, "--repo-server", repo_at,
                        "--metrics-port", str(metrics), "--resync", "10s",
                    ],
                    metrics,
                    "/healthz",
                ),
            ),
            hub,
        )  # fmt: skip


def _answers(port: int, path: str) -> None:
    if path:
        serves(f"http://127.0.0.1:{port}{path}")
        return
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError as error:
        raise NotYet(str(error)) from error
