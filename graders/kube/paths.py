"""How the paths of the Kubernetes API are made."""

from __future__ import annotations

from urllib.parse import quote


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
