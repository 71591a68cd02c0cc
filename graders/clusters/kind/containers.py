"""kind's nodes as containers of a Docker engine: the one module that knows the `docker` package.

kind labels its containers with the cluster's name. The network of each cluster is ours and has the cluster's
own name, so clusters do not see each other and nobody races for the one network that kind would share.
"""

import contextlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from graders.clusters.engine.probing import answers
from graders.clusters.kind.preflight import EngineFacts
from graders.faults import InfraFault
from graders.polling import NotYet, TimedOut, wait_for

CLUSTER_LABEL = "io.x-k8s.kind.cluster"
ROLE_LABEL = "io.x-k8s.kind.role"
OUR_LABEL = "kubeproof.dev/cluster"

_CALL_WITHIN_S = 60.0
_REMOVED_WITHIN_S = 30.0
_FIX = "is the Docker engine all right? `docker info` tells"
_MTU = "com.docker.network.driver.mtu"


@dataclass(frozen=True)
class Node:
    """A container that is a node."""

    name: str
    role: str
    running: bool


class Containers:
    """The engine at `host`, for as long as the block runs; every failure of it is an InfraFault."""

    def __init__(self, host: str, *, timeout_s: float = _CALL_WITHIN_S) -> None:
        """Connect.

        Raises:
            InfraFault: no engine answers there.
        """
        import docker  # noqa: PLC0415  (half a second that other providers need not pay)

        if not answers(host):
            raise InfraFault(f"no Docker engine of this machine answers at {host}", fix=_FIX)
        self.host = host
        with _mapped(f"the Docker engine at {host} does not take us"):
            self._client: Any = docker.DockerClient(base_url=host, version="auto", timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def facts(self) -> EngineFacts:
        """What the engine says of itself."""
        with _mapped("the Docker engine does not say what it is"):
            running = self._client.containers.list(filters={"label": CLUSTER_LABEL})
            return EngineFacts.read(self._client.info(), len(running))

    def make_network(self, cluster: str) -> None:
        """Make the network of a cluster, as large in its packets as the engine's default one."""
        with _mapped(
            f"the network of cluster {cluster} cannot be made",
            fix="`docker network prune` removes those nobody uses",
        ):
            options = {"com.docker.network.bridge.enable_ip_masquerade": "true"}
            for default in self._client.networks.list(names=["bridge"]):
                if mtu := (default.attrs.get("Options") or {}).get(_MTU):
                    options[_MTU] = mtu
            self._client.networks.create(
                cluster, driver="bridge", options=options, labels={OUR_LABEL: cluster}
            )

    def clusters(self, prefix: str) -> frozenset[str]:
        """The clusters whose names begin with `prefix`, of which anything is there."""
        with _mapped("the Docker engine does not list its containers"):
            found = [
                container.labels.get(CLUSTER_LABEL, "")
                for container in self._client.containers.list(
                    all=True, filters={"label": CLUSTER_LABEL}, ignore_removed=True
                )
            ]
            for network in self._client.networks.list(filters={"label": OUR_LABEL}):
                found.append(str(network.name))
        return frozenset(name for name in found if name.startswith(prefix))

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        """The nodes of a cluster, its control plane first."""
        with _mapped(f"the nodes of cluster {cluster} cannot be listed"):
            found = [
                Node(str(each.name), str(each.labels.get(ROLE_LABEL, "")), each.status == "running")
                for each in self._of(cluster)
            ]
        return tuple(
            sorted(found, key=lambda node: (node.role != "control-plane", len(node.name), node.name))
        )

    def read(self, node: str, path: str) -> bytes:
        """A file of a node."""
        with _mapped(f"{path} of node {node} cannot be read"):
            chunks, _ = self._client.containers.get(node).get_archive(path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                for member in archive:
                    if (file := archive.extractfile(member)) is not None:
                        return file.read()
        raise InfraFault(f"{path} of node {node} is not a file")

    def run(self, node: str, *command: str) -> str:
        """Run a command in a node and give what it printed.

        Raises:
            InfraFault: it failed.
        """
        with _mapped(f"{command[0]} cannot be run in node {node}"):
            code, output = self._client.containers.get(node).exec_run(list(command))
        text: str = (output or b"").decode("utf-8", "replace")
        if code != 0:
            raise InfraFault(f"{' '.join(command)} in node {node} ended with {code}: {text.strip()[-600:]}")
        return text

    def first_process(self, node: str) -> tuple[str, int]:
        """The identifier of a node's container, and its first process as the engine numbers it."""
        with _mapped(f"the processes of node {node} are not known"):
            container = self._client.containers.get(node)
            return str(container.id), int(container.attrs["State"]["Pid"])

    def kill(self, node: str) -> None:
        """Stop a node at once."""
        with _mapped(f"node {node} cannot be stopped"):
            self._client.containers.get(node).kill()

    def start(self, node: str) -> None:
        """Start a node that was stopped."""
        with _mapped(f"node {node} cannot be started"):
            self._client.containers.get(node).start()

    def memory_bytes(self, node: str) -> int:
        """What the programs in a node hold, without files that the kernel keeps for them."""
        with _mapped(f"the memory of node {node} is not known"):
            used = self._client.containers.get(node).stats(stream=False, one_shot=True)["memory_stats"]
        details = used.get("stats") or {}
        # By cgroup v1 and by v2.
        return int(details.get("total_rss", details.get("anon", 0)))

    def remove(self, cluster: str) -> None:
        """Remove all nodes of a cluster with their volumes, and its network; nothing there is fine.

        Raises:
            InfraFault: something is still there after half a minute.
        """

        def gone() -> None:
            try:
                with _mapped(f"cluster {cluster} cannot be removed"):
                    containers, networks = list(self._of(cluster)), self._networks_of(cluster)
                    for container in containers:
                        container.remove(force=True, v=True)
                    for network in networks:
                        network.remove()
            except InfraFault as error:
                # A container that is just being made or removed, or a network it has not left yet.
                raise NotYet(str(error)) from error
            if containers or networks:
                # A kind that was killed may just have asked for one more.
                raise NotYet(f"parts of cluster {cluster} were still there")

        try:
            wait_for(gone, timeout_s=_REMOVED_WITHIN_S, interval_s=0.2)
        except TimedOut as error:
            raise InfraFault(str(error), fix="`docker ps --all` shows what is left") from error

    def _of(self, cluster: str) -> Iterable[Any]:
        listed: Iterable[Any] = self._client.containers.list(
            all=True, filters={"label": f"{CLUSTER_LABEL}={cluster}"}, ignore_removed=True
        )
        return listed

    def _networks_of(self, cluster: str) -> list[Any]:
        return list(self._client.networks.list(filters={"label": f"{OUR_LABEL}={cluster}"}))


@contextlib.contextmanager
def _mapped(problem: str, fix: str = _FIX) -> Iterator[None]:
    """Errors of the engine, of its library and of the connection are faults of the infrastructure."""
    from docker.errors import DockerException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    try:
        yield
    except (DockerException, RequestException, OSError, tarfile.TarError) as error:
        raise InfraFault(f"{problem}: {error}", fix=fix) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InfraFault(f"{problem}, its answer is not understood: {error!r}", fix=fix) from error
