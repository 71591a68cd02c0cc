"""How the paths of the Kubernetes API are made, and what they say."""

from dataclasses import dataclass
from urllib.parse import quote, unquote


@dataclass(frozen=True)
class Target:
    """What a path is about; a namespace is an object of no namespace, as a node is."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def path(self) -> str:
        """The path of the object itself, or of the collection."""
        version = f"{self.group}/{self.version}" if self.group else self.version
        return resource_path(version, self.plural, namespace=self.namespace, name=self.name)


def read_path(path: str) -> Target | None:
    """Read the path of a resource; None for any other."""
    prefix, *parts = [unquote(part) for part in path.strip("/").split("/")]
    if prefix == "api" and len(parts) > 1:
        group, version, *parts = "", *parts
    elif prefix == "apis" and len(parts) > 2:
        group, version, *parts = parts
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource = (*parts, "", "")[:3]
    return Target(group, version, plural, namespace, name, subresource)


def resource_path(
    api_version: str, plural: str, *, namespace: str = "", name: str = "", subresource: str = ""
) -> str:
    """The URL path of a resource: `resource_path("v1", "pods", namespace="a", name="b")`."""
    parts = ["/apis" if "/" in api_version else "/api", api_version]
    if namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(plural)
    if name:
        parts.append(quote(name, safe=":."))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)
