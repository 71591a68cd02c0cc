"""What a request to an API server asks for, and which requests are meant; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_TRUE = ("1", "true", "True", "TRUE", "t", "T")


@dataclass(frozen=True)
class Asked:
    """One request in the API server's words; where a path names no resource, `resource` is the path."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool = False

    @property
    def is_write(self) -> bool:
        """Whether it could change something."""
        return self.verb in WRITES and not self.dry_run

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = f"{self.namespace}/{self.name}".strip("/")
        return f"{self.verb} {what} {where}".rstrip()


def read_asked(method: str, target: str) -> Asked:
    """Read method and target, such as `GET /api/v1/namespaces/a/pods?watch=1`, as an API server does."""
    uri = urlsplit(target)
    query = dict(parse_qsl(uri.query, keep_blank_values=True))
    parts = [unquote(part) for part in uri.path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Asked(method.lower(), resource=uri.path)
    watching = query.get("watch") in _TRUE
    if rest[0] == "watch" and len(rest) > 1:
        rest, watching = rest[1:], True
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = rest[0], "/".join(rest[1:2]), "/".join(rest[2:])
    return Asked(
        verb=_verb(method, named=bool(name), watching=watching),
        group=group,
        version=version,
        resource=resource,
        subresource=subresource,
        namespace=name if resource == "namespaces" else namespace,
        name=name,
        dry_run="dryRun" in query,
    )


def _verb(method: str, *, named: bool, watching: bool) -> str:
    if method in ("GET", "HEAD"):
        if watching:
            return "watch"
        return "get" if named else "list"
    if method == "DELETE":
        return "delete" if named else "deletecollection"
    return _VERBS.get(method, method.lower())


@dataclass(frozen=True)
class Match:
    """Which requests, or which objects in watches, are meant; an empty field takes any."""

    verbs: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    subresource: str | None = None
    namespaces: frozenset[str] = frozenset()
    name: str = ""
    except_resources: frozenset[str] = frozenset()

    def covers(self, asked: Asked) -> bool:
        """Whether a request is meant."""
        return (
            (not self.verbs or asked.verb in self.verbs)
            and (not self.resources or asked.resource in self.resources)
            and asked.resource not in self.except_resources
            and (self.subresource is None or asked.subresource == self.subresource)
            and (not self.namespaces or asked.namespace in self.namespaces)
            and (not self.name or asked.name == self.name)
        )

    def covers_stream(self, asked: Asked) -> bool:
        """Whether a watch may carry objects that are meant."""
        return asked.verb == "watch" and (not self.resources or asked.resource in self.resources)

    def covers_object(self, item: Mapping[str, object]) -> bool:
        """Whether an object in a watch is meant."""
        metadata = item.get("metadata")
        if not isinstance(metadata, Mapping):
            return False
        return (not self.namespaces or metadata.get("namespace") in self.namespaces) and (
            not self.name or metadata.get("name") == self.name
        )


def writes_in(*namespaces: str, resources: Iterable[str] = ()) -> Match:
    """All writes in some namespaces, those that only elect and narrate aside."""
    return Match(
        verbs=WRITES,
        namespaces=frozenset(namespaces),
        resources=frozenset(resources),
        except_resources=frozenset({"events", "leases"}),
    )
