"""What a request to an API server asks for, and which requests are meant; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from graders.kube.dryrun import is_dry_run, read_query
from graders.kube.nesting import read_json

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_VERBS = {
    "GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"
}  # fmt: skip
_PREFIX_VERBS = ("watch", "proxy")
_FALSE = ("0", "false")
_DELETIONS = ("delete", "deletecollection")
_ONE_OBJECT = "metadata.name"


@dataclass(frozen=True)
class RequestInfo:
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


def read_request_info(method: str, target: str) -> RequestInfo:
    """Read method and target, such as `GET /api/v1/namespaces/a/pods?watch=1`, as an API server does.

    The rules are those of `RequestInfo` in k8s.io/apiserver: the path is decoded before it is split, empty
    segments count, and of a parameter given twice the first is taken.
    """
    path, _, query = target.partition("?")
    decoded = unquote(path)
    prefix, _, rest = decoded.strip("/").partition("/")
    parts = rest.split("/")
    if prefix == "api" and len(parts) > 1:
        group, version, *parts = "", *parts
    elif prefix == "apis" and len(parts) > 2:
        group, version, *parts = parts
    else:
        return RequestInfo(method.lower(), resource=decoded)
    verb = _VERBS.get(method, "")
    if parts[0] in _PREFIX_VERBS:
        if len(parts) == 1:
            return RequestInfo(method.lower(), resource=decoded)
        verb, *parts = parts
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in ("status", "finalize"):
            parts = parts[2:]
    resource, name, subresource = (*parts, "", "")[:3]
    given = read_query(query)
    if not name and verb == "get":
        verb = "watch" if given.get("watch", ["false"])[0].lower() not in _FALSE else "list"
        name = _only_name(given.get("fieldSelector", [""])[0])
    elif not name and verb == "delete":
        verb = "deletecollection"
    dry_run = is_dry_run(verb, given, None)
    return RequestInfo(verb, group, version, resource or decoded, subresource, namespace, name, dry_run)


def with_body(info: RequestInfo, body: bytes) -> RequestInfo:
    """The same request once its body is known: of a deletion, only the body says what is meant by it."""
    if not body or info.verb not in _DELETIONS:
        return info
    try:
        options = read_json(body)
    except ValueError:
        options = ()
    return replace(info, dry_run=is_dry_run(info.verb, {}, options))


def _only_name(selector: str) -> str:
    """The name that a field selector asks for; empty where it may take several."""
    for term in selector.split(","):
        field, equals, value = term.partition("=")
        if equals and field == _ONE_OBJECT:
            return value.removeprefix("=")
    return ""


@dataclass(frozen=True)
class Match:
    """Which requests, or which objects in watches, are meant; an empty field takes any."""

    verbs: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    subresource: str | None = None
    namespaces: frozenset[str] = frozenset()
    name: str = ""
    except_resources: frozenset[str] = frozenset()

    def covers(self, info: RequestInfo) -> bool:
        """Whether a request is meant."""
        return (
            (not self.verbs or info.verb in self.verbs)
            and self._takes(info.resource)
            and (self.subresource is None or info.subresource == self.subresource)
            and (not self.namespaces or info.namespace in self.namespaces)
            and (not self.name or info.name == self.name)
        )

    def covers_stream(self, info: RequestInfo) -> bool:
        """Whether a watch may carry objects that are meant: it may cover more namespaces and names."""
        return (
            info.verb == "watch"
            and self._takes(info.resource)
            and (not self.namespaces or not info.namespace or info.namespace in self.namespaces)
            and (not self.name or not info.name or info.name == self.name)
        )

    def covers_object(self, item: Mapping[str, object]) -> bool:
        """Whether an object in a watch is meant."""
        metadata = item.get("metadata")
        if not isinstance(metadata, Mapping):
            return False
        return (not self.namespaces or metadata.get("namespace") in self.namespaces) and (
            not self.name or metadata.get("name") == self.name
        )

    def _takes(self, resource: str) -> bool:
        return (not self.resources or resource in self.resources) and resource not in self.except_resources


def writes_in(*namespaces: str, resources: Iterable[str] = ()) -> Match:
    """All writes in some namespaces, those that only elect and narrate aside."""
    return Match(
        verbs=WRITES,
        namespaces=frozenset(namespaces),
        resources=frozenset(resources),
        except_resources=frozenset({"events", "leases"}),
    )
