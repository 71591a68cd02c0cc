"""A small client for any Kubernetes API: paths in, plain JSON out.

The `kubernetes` package reads the kubeconfig and makes the TLS connections; everything above works
on plain objects, because a grader looks at fields no typed model knows. This package is not a cache
and holds no state but connections.
"""

import ipaddress
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
import yaml

from graders.faults import InfraFault, KubeproofError
from graders.kube.nesting import read_json
from graders.kube.paths import resource_path
from graders.model import Cluster, Guest

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_READ_S = 30.0
_WRITE_S = 65.0
"""An API server waits up to 30 s for a webhook, and 60 s in all."""


@dataclass(frozen=True)
class Answer:
    """An API server's answer: the HTTP code, the decoded body, and what it warns of."""

    code: int
    body: Any
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the code is 2xx."""
        return 200 <= self.code < 300

    @property
    def message(self) -> str:
        """What a Status object says, or the start of whatever came instead."""
        if isinstance(self.body, Mapping) and self.body.get("message"):
            return str(self.body["message"])
        return str(self.body)[:500]


class ApiRefused(KubeproofError):
    """The API server answered, and said no."""

    def __init__(self, method: str, path: str, answer: Answer) -> None:
        super().__init__(f"{method} {path}: {answer.code} {answer.message}")
        self.answer = answer


class Kube:
    """One identity at one API server; safe to use from many threads."""

    def __init__(self, kubeconfig: Path, *, context: str | None = None, guest: Guest | None = None) -> None:
        """Read `kubeconfig`; nothing is sent yet. What is written goes past `guest`, if there is one.

        Keys that the kubeconfig holds become files beside it: whoever removes its folder removes them.

        Raises:
            InfraFault: the kubeconfig cannot be read.
        """
        from kubernetes import config  # noqa: PLC0415  (a second of imports that judging need not pay)
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415

        configuration = Configuration()
        configuration.connection_pool_maxsize = 64
        configuration.retries = urllib3.Retry(0, connect=0, read=0, redirect=0)
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig),
                context=context,
                client_configuration=configuration,
                persist_config=False,
                temp_file_path=str(kubeconfig.parent),
            )
            if _on_this_machine(configuration.host):
                configuration.proxy = None
            client = ApiClient(configuration=configuration)
        except (
            config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError
        ) as error:  # fmt: skip
            raise InfraFault(f"the kubeconfig {kubeconfig} cannot be used: {error}") from error
        self._client = client
        self.guest = guest
        self._pool: urllib3.PoolManager = client.rest_client.pool_manager
        self.server: str = client.configuration.host.rstrip("/")
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}
        self._lock = threading.Lock()

    @property
    def server_name(self) -> str:
        """The name to expect in the API server's certificate; empty where it is the one in its address."""
        return str(self._client.configuration.tls_server_name or "")

    @property
    def http_proxy(self) -> str:
        """The proxy by which the API server is reached; empty where there is none."""
        from kubernetes.client.rest import should_bypass_proxies  # noqa: PLC0415

        configuration = self._client.configuration
        if should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
            return ""
        return str(configuration.proxy or "")

    @property
    def ca_file(self) -> Path | None:
        """A file with the authority that signed the API server's certificate; None: the machine's own."""
        path = self._client.configuration.ssl_ca_cert
        return Path(path) if path else None

    def ca_certificate(self) -> bytes:
        """The authority that signed the API server's certificate, PEM.

        Raises:
            InfraFault: the kubeconfig names none.
        """
        if self.ca_file is None:
            raise InfraFault("the kubeconfig names no certificate authority")
        return self.ca_file.read_bytes()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send one request; HTTP errors are answers, not exceptions.

        Where nothing is said, a write waits until an API server has given up on whatever webhook it asks.

        Raises:
            InfraFault: no answer came.
        """
        if timeout_s is None:
            timeout_s = _WRITE_S if method in _WRITES else _READ_S
        response = self._open(method, path, query, body, content_type, timeout_s, stream=False)
        warnings = tuple(map(_warning, response.headers.getlist("Warning")))
        return Answer(response.status, _decoded(response.data), warnings)

    def get(self, path: str, **query: object) -> Any:
        """The object or list at `path`.

        Raises:
            ApiRefused: the API server said no. InfraFault: it did not answer.
        """
        return self._expect("GET", path, query=query)

    def find(self, path: str) -> Any | None:
        """The object at `path`, or None where there is none.

        Raises:
            ApiRefused: any refusal but 404. InfraFault: no answer came.
        """
        answer = self.request("GET", path)
        if answer.code == 404:
            return None
        if not answer.ok:
            raise ApiRefused("GET", path, answer)
        return answer.body

    def create(self, path: str, body: object, **query: object) -> Any:
        """POST `body` to the collection at `path`; raises as `get`."""
        return self._expect("POST", path, query=query, body=body)

    def patch(self, path: str, body: object, content_type: str = MERGE_PATCH, **query: object) -> Any:
        """PATCH the object at `path`; raises as `get`."""
        return self._expect("PATCH", path, query=query, body=body, content_type=content_type)

    def delete(self, path: str, body: object = None, **query: object) -> Any:
        """DELETE what is at `path`; raises as `get`, but nothing there is fine."""
        answer = self.request("DELETE", path, query=query, body=body)
        if not answer.ok and answer.code != 404:
            raise ApiRefused("DELETE", path, answer)
        return answer.body

    def watch(self, path: str, resource_version: str, *, idle_s: float = 3600.0) -> Iterator[dict[str, Any]]:
        """Watch the collection at `path`; yields `{"type": …, "object": …}` until the server ends it.

        Raises:
            ApiRefused: the watch was refused. InfraFault: the connection broke.
        """
        query = {"watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        response = self._open("GET", path, query, None, JSON, idle_s, stream=True)
        try:
            if response.status != 200:
                raise ApiRefused("GET", path, Answer(response.status, _decoded(response.read())))
            pending = b""
            for chunk in response.stream(65536):
                *lines, pending = (pending + chunk).split(b"\n")
                yield from (read_json(line) for line in lines if line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise InfraFault(f"the watch of {path} broke: {error}") from error
        finally:
            response.close()

    def path_for(self, manifest: Mapping[str, Any], *, collection: bool = False) -> str:
        """The path of the object `manifest` describes, by asking the API server what its kind is called.

        Raises:
            ApiRefused: the API server does not know the kind (code 404).
        """
        api_version, kind = str(manifest["apiVersion"]), str(manifest["kind"])
        plural, namespaced = self._plural(api_version, kind)
        metadata = manifest.get("metadata") or {}
        namespace = str(metadata.get("namespace") or "default") if namespaced else ""
        return resource_path(
            api_version, plural, namespace=namespace, name="" if collection else str(metadata["name"])
        )

    def apply(self, manifest: Mapping[str, Any], *, field_manager: str = "kubeproof") -> Answer:
        """Server-side apply one manifest and give the answer, refused or not.

        Raises:
            InfraFault: no answer came.
        """
        try:
            path = self.path_for(manifest)
        except ApiRefused as error:
            return error.answer
        query = {"fieldManager": field_manager, "force": "true", "fieldValidation": "Strict"}
        return self.request("PATCH", path, query=query, body=manifest, content_type=APPLY_PATCH)

    def _plural(self, api_version: str, kind: str) -> tuple[str, bool]:
        key = (api_version, kind)
        with self._lock:
            if key in self._plurals:
                return self._plurals[key]
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        for resource in self.get(root)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                found = (str(resource["name"]), bool(resource["namespaced"]))
                with self._lock:
                    self._plurals[key] = found
                return found
        message = f"no kind {kind!r} is registered for {api_version}"
        raise ApiRefused("GET", root, Answer(404, {"message": message}))

    def _expect(self, method: str, path: str, **request: Any) -> Any:
        answer = self.request(method, path, **request)
        if not answer.ok:
            raise ApiRefused(method, path, answer)
        return answer.body

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
        content_type: str,
        timeout_s: float,
        *,
        stream: bool,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": JSON, "User-Agent": "kubeproof"}
        for setting in self._client.configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        data = None
        if self.guest is not None and method in _WRITES:
            body = self.guest.admit(method, path, query or {}, body)
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body).encode()
        url = self.server + path + ("?" + urlencode({k: str(v) for k, v in query.items()}) if query else "")
        try:
            return self._pool.request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=urllib3.Timeout(connect=5.0, read=timeout_s),
                preload_content=not stream,
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise InfraFault(f"{method} {path} got no answer: {error}") from error


def kube_of(cluster: Cluster) -> Kube:
    """The grader at a cluster, as it may behave there."""
    return Kube(cluster.kubeconfig, guest=cluster.guest)


def _on_this_machine(server: str) -> bool:
    """Whether an address is loopback, which no proxy leads to."""
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _warning(header: str) -> str:
    """The text of a `Warning` header, which is `299 - "text"`; Python takes headers for Latin-1."""
    text = header.encode("latin-1", "replace").decode("utf-8", "replace").split(" ", 2)[-1]
    return re.sub(r"\\(.)", r"\1", text.removeprefix('"').removesuffix('"'))


def _decoded(data: bytes) -> Any:
    """The JSON value of a body, or its text where it is none."""
    try:
        return read_json(data) if data else None
    except ValueError:
        return data.decode("utf-8", "replace")
