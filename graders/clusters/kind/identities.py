"""Who we are in a kind cluster: the users and groups of an embedded one, signed by kubeadm's authority."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from graders.clusters.certificates import Authority, Identity, read_pair
from graders.clusters.components import GRADER_IDENTITY, SIMULATOR_IDENTITY
from graders.clusters.kind.containers import Containers
from graders.clusters.kubeconfigs import write_kubeconfig
from graders.faults import InfraFault

_PKI = "/etc/kubernetes/pki"


@dataclass(frozen=True)
class Identities:
    """Kubeconfigs of the grader, of kwok and of `users`, and what a proxy serves with."""

    grader: Path
    simulator: Path
    proxy: Identity
    users: Mapping[str, Path]


def issue(
    containers: Containers,
    control_plane: str,
    kinds: Path,
    folder: Path,
    users: Mapping[str, tuple[str, ...]],
) -> Identities:
    """Write identities into `folder`, those of `users` (with their groups) among them.

    `kinds` is the kubeconfig that kind wrote, which says where to call.

    Raises:
        InfraFault: the node does not give its authority away, or kind's kubeconfig names no server.
    """
    certificate, key = (containers.read(control_plane, f"{_PKI}/ca.{end}") for end in ("crt", "key"))
    authority = Authority(folder, "cluster", read_pair(certificate, key))
    server = _server(kinds)

    def kubeconfig(name: str, identity: tuple[str, ...]) -> Path:
        path = folder / f"{name}.kubeconfig"
        write_kubeconfig(path, server, authority.path, authority.client(name, *identity))
        return path

    return Identities(
        grader=kubeconfig("grader", GRADER_IDENTITY),
        simulator=kubeconfig("kwok", SIMULATOR_IDENTITY),
        proxy=authority.server("proxy"),
        users={
            user: kubeconfig(f"user-{number}", (user, *groups))
            for number, (user, groups) in enumerate(users.items(), start=1)
        },
    )


def _server(kubeconfig: Path) -> str:
    try:
        (cluster,) = yaml.safe_load(kubeconfig.read_text("utf-8"))["clusters"]
        return str(cluster["cluster"]["server"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise InfraFault(f"kind's kubeconfig names no server: {error!r}") from error
