"""The seam to a control plane that a provider runs itself: its processes one by one, and etcd's data.

No I/O here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class EtcdAccess:
    """What an etcd client needs: URLs, and PEM files of the authority, the client certificate and its key.

    `data_folders` has the data directory of each member by its name among the components, `peer_urls` where
    the others find it.
    """

    endpoints: tuple[str, ...]
    ca: Path
    certificate: Path
    key: Path
    data_folders: Mapping[str, Path]
    peer_urls: Mapping[str, str]


class ControlPlane(Protocol):
    """The processes of a control plane that the provider owns, one by one; any thread may use it.

    A name that is none of `components` is a `UsageError` everywhere.
    """

    @property
    def components(self) -> tuple[str, ...]:
        """The processes in the order they start, such as `etcd`, `kube-apiserver`, `etcd-2`."""

    @property
    def etcd(self) -> EtcdAccess:
        """The way past the API server."""

    def kill(self, name: str) -> None:
        """SIGKILL a component; it is dead when this returns."""

    def start(self, name: str) -> None:
        """Start a component unless it runs; does not wait until it is ready."""

    def alive(self, name: str) -> bool:
        """Whether a component runs."""

    def command_line(self, name: str) -> tuple[str, ...]:
        """The words that a running component was started with, as the machine has them.

        Raises:
            InfraFault: it does not run.
        """

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a component's log, over all its starts."""

    def wipe(self, name: str) -> None:
        """Remove the data of a stopped etcd member.

        One alone begins a new store when it starts, as all do once all were wiped. One of several is let in
        again only if it was removed from the membership and added anew, as with `etcdctl member`.

        Raises:
            UsageError: it runs, or is no etcd member.
        """

    def replace_data(self, name: str, folder: Path) -> None:
        """Put a copy of `folder`, a data directory, in the place of a stopped etcd member's.

        Raises:
            UsageError: the member runs, or is none, or `folder` holds no data of etcd.
        """

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the API server says that it is ready.

        Raises:
            InfraFault: it did not within `timeout_s`; has its last answer.
        """
