"""What manifests of a mesh are to say of workloads: who may call them, and that it is encrypted; pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from graders.kube.meshes import (
    MeshCaller,
    MeshWorkload,
    Objects,
    istio_allows,
    istio_denies_all,
    istio_ports,
    linkerd_allows,
    linkerd_ports,
    mtls_modes,
    namespace_of,
    of_kind,
    overridden_ports,
    spec_of,
)

_ISTIO = "istio"
_DEFAULT_INBOUND = "config.linkerd.io/default-inbound-policy"
_EXPORTED = "mirror.linkerd.io/exported"
_AS = ("true", "remote-discovery")
_FEDERATED, _MEMBER = "mirror.linkerd.io/federated", "member"
_ANY_PORT = 9090
Allows = Callable[[Objects, MeshCaller, MeshWorkload], bool]


@dataclass(frozen=True)
class MeshDemand:
    """What is asked of a mesh in one namespace: encrypted everywhere, denied by default, a few pairs allowed.

    `ports` are those of the workloads, by name, and `port_names` what they are called. `pairs` says who may
    call whom: namespace and ServiceAccount of the caller, and the workload; `callers` are whose calls are
    tried, one without a name has no identity. `exported` is the workload that other clusters may reach.
    """

    namespace: str
    ports: Mapping[str, int]
    port_names: tuple[str, ...]
    pairs: Collection[tuple[str, str, str]]
    callers: Sequence[tuple[str, str]]
    exported: str

    def problems(self, mesh: str, objects: Objects) -> Iterator[tuple[str, str]]:
        """What is wrong with the manifests of a mesh: expected and observed."""
        yield from (self._istio(objects) if mesh == _ISTIO else self._linkerd(objects))

    def misshapen(self, mesh: str, objects: Objects) -> str:
        """Which manifest has a field of another type than any reader of it expects; empty where none has.

        A dash or a key too few makes one, and nobody has asked an API server what it says of these manifests.
        """
        if not (problem := self._unreadable(mesh, objects)):
            return ""
        for each in objects:
            if own := self._unreadable(mesh, [each]):
                return f"{each['kind']} {each['metadata']['name']}: {own}"
        return problem

    def _unreadable(self, mesh: str, objects: Objects) -> str:
        try:
            list(self.problems(mesh, objects))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return f"a field is of another type: {str(error)[:200]}"
        return ""

    def _workload(self, name: str, port: int | None = None) -> MeshWorkload:
        labels = {"app.kubernetes.io/name": name}
        return MeshWorkload(
            self.namespace, labels, self.ports[name] if port is None else port, self.port_names
        )

    def _istio(self, objects: Objects) -> Iterator[tuple[str, str]]:
        for name, port in self.ports.items():
            modes = mtls_modes(objects, self._workload(name))
            if modes != {"STRICT"}:
                yield f"mutual TLS of {name}:{port} is STRICT", f"it is {' or '.join(sorted(modes))}"
            for other in overridden_ports(objects, self._workload(name)) - {port}:
                if (odd := mtls_modes(objects, self._workload(name, other))) != {"STRICT"}:
                    yield f"mutual TLS of {name}:{other} is STRICT", f"it is {' or '.join(sorted(odd))}"
        if not istio_denies_all(objects, self.namespace):
            yield f"an AuthorizationPolicy in {self.namespace} that allows nothing", "there is none"
        yield from self._callers(objects, istio_allows)
        yield from self._elsewhere(objects, istio_allows, istio_ports(objects))
        servers: list[Mapping[str, Any]] = [
            server
            for each in of_kind(objects, "Gateway", "networking.istio.io/")
            for server in spec_of(each).get("servers") or ()
        ]
        through = [each for each in servers if (each.get("tls") or {}).get("mode") == "AUTO_PASSTHROUGH"]
        if not any(self._for_exported(host) for each in through for host in each.get("hosts") or ()):
            yield f"a Gateway server with AUTO_PASSTHROUGH for {self.exported}", "there is none"

    def _for_exported(self, host: Any) -> bool:
        name = f"{self.exported}.{self.namespace}.svc.cluster.local"
        return fnmatchcase(name, str(host).rpartition("/")[2])

    def _linkerd(self, objects: Objects) -> Iterator[tuple[str, str]]:
        spaces = [
            each for each in of_kind(objects, "Namespace", "v1") if each["metadata"]["name"] == self.namespace
        ]
        noted = {((each["metadata"].get("annotations")) or {}).get(_DEFAULT_INBOUND) for each in spaces}
        if noted != {"deny"}:
            expected = f"{_DEFAULT_INBOUND}: deny on the namespace {self.namespace}"
            yield expected, f"it is {next(iter(noted), None)}"
        yield from self._callers(objects, linkerd_allows)
        yield from self._elsewhere(objects, linkerd_allows, linkerd_ports(objects))
        exported = (self.namespace, self.exported)
        for each in of_kind(objects, "Service", "v1"):
            labels = each["metadata"].get("labels") or {}
            out = labels.get(_EXPORTED) in _AS or labels.get(_FEDERATED) == _MEMBER
            if (namespace_of(each), each["metadata"]["name"]) == exported and out:
                return
        yield f"Service {self.exported} exported by the label {_EXPORTED}", "it is not"

    def _elsewhere(
        self, objects: Objects, allows: Allows, ports: Collection[int]
    ) -> Iterator[tuple[str, str]]:
        """Who may call a workload at another port than its own, and is none of its pair."""
        for name, port in self.ports.items():
            for other in sorted({*ports, _ANY_PORT} - {port}):
                for namespace, account in self.callers:
                    stranger = (namespace, account, name) not in self.pairs
                    if stranger and allows(
                        objects, MeshCaller(namespace, account), self._workload(name, other)
                    ):
                        who = f"{account} of {namespace}" if account else "somebody without an identity"
                        yield f"{who} may not call {name}:{other}", "it may"
                        return

    def _callers(self, objects: Objects, allows: Allows) -> Iterator[tuple[str, str]]:
        for name, port in self.ports.items():
            for namespace, account in self.callers:
                wanted = (namespace, account, name) in self.pairs
                if allows(objects, MeshCaller(namespace, account), self._workload(name)) is not wanted:
                    who = f"{account} of {namespace}" if account else "somebody without an identity"
                    verb = "may" if wanted else "may not"
                    yield f"{who} {verb} call {name}:{port}", "it may" if not wanted else "it may not"
