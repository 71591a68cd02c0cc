"""The fault proxy before a real API server: what it passes on untouched, and who it passes it on for."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from graders.evidence.bundle import Bundle
from graders.faultproxy import Match, Serving
from graders.faultproxy.proxy import FaultProxy
from graders.kube.client import Kube
from graders.polling import NotYet, wait_for
from tests.cluster.proxied import WITHIN_S, Served, Watching, World, config_map, maps
from tests.unit.synthetic_bundle import make_manifest

pytestmark = pytest.mark.cluster

REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def served(world: World, name: str) -> Iterator[Served]:
    with world.served(name) as served, served.opened:
        yield served


def whoami(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post(REVIEWS, json=REVIEW, headers=headers)


def answer_on(connection: ssl.SSLSocket, request: bytes) -> bytes:
    """Send bytes, and give all that comes until the server ends the connection."""
    connection.sendall(request)
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except (ConnectionError, ssl.SSLError):
        pass
    return received


# --- identity ------------------------------------------------------------------------------------


def test_a_client_is_who_its_token_says(served: Served) -> None:
    answer = whoami(served.http())
    assert answer.status_code == 201
    assert answer.json()["status"]["userInfo"]["username"] == "system:serviceaccount:default:worker"


def test_rbac_judges_the_client_and_not_the_proxy(served: Served, name: str) -> None:
    powerless = served.http(served.world.powerless)
    answer = powerless.post(maps(), json=config_map(name))
    assert answer.status_code == 403
    assert "system:serviceaccount:default:powerless" in answer.json()["message"]
    assert served.world.kube.find(f"{maps()}/{name}") is None
    [exchange] = served.recorded(verb="create", resource="configmaps")
    assert (exchange.code, exchange.rules) == (403, ())


def test_a_forged_token_is_refused_by_the_api_server(served: Served) -> None:
    assert whoami(served.http("forged")).status_code == 401


def test_without_a_token_a_client_is_nobody(served: Served) -> None:
    client = served.http()
    del client.headers["Authorization"]
    assert client.get(maps()).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Impersonate-User": "system:admin", "Impersonate-Group": "system:masters"},
        {"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"},
    ],
    ids=["impersonation", "front proxy"],
)
def test_a_client_becomes_nobody_else_by_headers(served: Served, headers: dict[str, str]) -> None:
    answer = whoami(served.http(), **headers)
    if answer.status_code == 201:
        assert answer.json()["status"]["userInfo"]["username"].endswith(":worker")
    else:
        assert answer.status_code == 403
    assert served.http().get("/api/v1/secrets", headers=headers).status_code == 403


def test_clients_share_no_connection_s_identity(served: Served) -> None:
    worker, powerless = served.http(), served.http(served.world.powerless)
    for _ in range(5):
        assert whoami(worker).json()["status"]["userInfo"]["username"].endswith(":worker")
        assert whoami(powerless).json()["status"]["userInfo"]["username"].endswith(":powerless")


# --- what passes ---------------------------------------------------------------------------------


def test_an_object_is_written_and_read_as_it_was_sent(served: Served, name: str) -> None:
    client = served.http()
    body = config_map(name, text="äöü \u2028 \U0001f600 \\u0000", empty="")
    assert client.post(maps(), json=body).status_code == 201
    assert served.world.kube.get(f"{maps()}/{name}")["data"] == body["data"]
    assert client.get(f"{maps()}/{name}").json()["data"] == body["data"]
    patch = {"Content-Type": "application/merge-patch+json"}
    answer = client.patch(f"{maps()}/{name}", content=b'{"data":{"a":"1"}}', headers=patch)
    assert answer.json()["data"]["a"] == "1"
    assert (
        client.request("DELETE", f"{maps()}/{name}", json={"propagationPolicy": "Foreground"}).status_code
        == 200
    )
    codes = [(each.verb, each.name, each.code) for each in served.recorded(4, resource="configmaps")]
    assert codes == [("create", "", 201), ("get", name, 200), ("patch", name, 200), ("delete", name, 200)]


def test_an_answer_is_the_api_server_s_own(served: Served) -> None:
    """Same code, headers and body as without the proxy, those of the moment aside."""
    moment = {"audit-id", "date"}

    def answer(client: httpx.Client, path: str, method: str = "GET") -> tuple[object, ...]:
        given = client.request(method, path)
        # HTTP/1.1 needs none, and says so or not.
        headers = {k: v for k, v in given.headers.items() if k not in moment}
        return given.status_code, given.reason_phrase, headers, given.content

    with served.http(headers={}) as through, served.direct() as direct:
        for client in (through, direct):
            client.headers["Authorization"] = f"Bearer {served.world.token}"
            client.headers["Accept-Encoding"] = "identity"
        for path in (
            "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
            "/api/v1/namespaces/default/configmaps/missing",
            "/api/v1/namespaces/other/configmaps?limit=1",
            "/api/v1/nodes",
            "/apis/apps/v1",
            "/version",
            "/no/such/path",
            "/api/v1/namespaces/default/configmaps?labelSelector=a%20in%20(b%2Cc)&limit=5",
        ):
            assert answer(through, path) == answer(direct, path), path
        for method, path in (("OPTIONS", "/version"), ("DELETE", "/version"), ("HEAD", "/version")):
            assert answer(through, path, method) == answer(direct, path, method), (method, path)


def test_the_kubernetes_package_works_through_it(served: Served, name: str) -> None:
    kube = Kube(served.kubeconfig())
    kube.create(maps(), config_map(name, a="1"))
    assert kube.apply(config_map(f"{name}-2", a="1")).code == 201
    version = kube.get(maps())["metadata"]["resourceVersion"]
    kube.delete(f"{maps()}/{name}")
    for event in kube.watch(maps(), version):
        if event["object"]["metadata"]["name"] == name:
            assert event["type"] == "DELETED"
            break


def test_http_2_is_not_on_offer(served: Served) -> None:
    trust = served.trust()
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", served.port)) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        assert secure.selected_alpn_protocol() == "http/1.1"


def test_every_request_is_in_the_bundle(served: Served, name: str) -> None:
    client = served.http()
    agent = {"User-Agent": f"kopf/{name} " + "x" * 500}
    client.post(maps(), json=config_map(name), headers=agent)
    client.put(f"{maps()}/{name}", json=config_map(name), headers=agent)
    client.get("/apis/apps/v1/namespaces/default/deployments/x/scale", headers=agent)
    client.get("/healthz", headers=agent)
    client.request("DELETE", maps("other"), headers=agent)
    found = served.recorded(5)
    assert [(e.verb, e.group, e.resource, e.subresource, e.namespace, e.name, e.code) for e in found] == [
        ("create", "", "configmaps", "", "default", "", 201),
        ("update", "", "configmaps", "", "default", name, 200),
        ("get", "apps", "deployments", "scale", "default", "x", 404),
        ("get", "", "/healthz", "", "", "", 200),
        ("deletecollection", "", "configmaps", "", "other", "", 200),
    ]
    assert all(e.user_agent == agent["User-Agent"][:200] for e in found)
    assert all(0 < e.t <= e.t_end <= served.world.recording.clock.now() for e in found)
    assert [e.t for e in found] == sorted(e.t for e in found)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/configmaps/x",
        "/api/v1/namespaces/default/configmaps/x?watch=1&timeoutSeconds=1",
        "/api/v1/namespaces/default/configmaps?watch=yes&timeoutSeconds=1",
        "/api/v1/namespaces/default/configmaps?watch=&timeoutSeconds=1",
        "/api/v1/namespaces/default/configmaps?watch=0&watch=1&timeoutSeconds=1",
        "/api/v1/watch/namespaces/default/configmaps?timeoutSeconds=1",
        "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dx",
        "/api/v1/namespaces/default%2Fconfigmaps/x",
        "/api/v1/namespaces/default/configmaps/x/",
        "/api/v1/namespaces/default//configmaps/x",
        "/api/v1//namespaces/default/configmaps",
        "//api/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/../other/configmaps",
        "/api/v1/namespaces/default/configmaps/../../other/configmaps",
        "/api/v1/namespaces/default/configmaps/%2e%2e",
        "/%61pi/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/status",
        "/api/v1/namespaces/default/pods/x/log",
        "/api/v1/namespaces/default/pods/x/proxy/a/b",
        "/apis/apps/v1/namespaces/default/deployments/x/scale",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        "/apis/apps/v1",
        "/logs/x",
    ],
)
def test_the_record_reads_a_request_as_the_audit_log_does(served: Served, target: str) -> None:
    agent = f"agent-{uuid.uuid4().hex}"
    request = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.world.token}\r\n"
        f"User-Agent: {agent}\r\nConnection: close\r\n\r\n"
    )
    assert answer_on(served.connect(), request.encode()).startswith(b"HTTP/1.1 ")
    audited = served.audited(agent)
    [exchange] = served.recorded(user_agent=agent)
    assert (
        exchange.verb, exchange.group, exchange.resource, exchange.subresource, exchange.namespace,
        exchange.name, exchange.code,
    ) == (
        audited.verb, audited.group, audited.resource, audited.subresource, audited.namespace,
        audited.name, audited.code,
    )  # fmt: skip


# --- bodies and encodings ------------------------------------------------------------------------


def test_json_is_negotiated_with_who_prefers_protobuf(served: Served) -> None:
    for accept in (
        "application/vnd.kubernetes.protobuf, application/json",
        "application/vnd.kubernetes.protobuf,*/*",
        "application/json;q=0.1, application/vnd.kubernetes.protobuf;q=1",
        "application/cbor, application/json",
    ):
        answer = served.http().get(maps(), headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), accept
    twice = [("Accept", "application/json"), ("Accept", "application/vnd.kubernetes.protobuf")]
    assert served.http().get(maps(), headers=twice).headers["content-type"] == "application/json"


def test_who_takes_nothing_but_protobuf_is_told_so(served: Served, name: str) -> None:
    for accept in (
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
        "application/Vnd.Kubernetes.ProtoBuf",
    ):
        answer = served.http().post(maps(), json=config_map(name), headers={"Accept": accept})
        assert answer.status_code == 406
        assert answer.json()["reason"] == "NotAcceptable"
        assert "application/json" in answer.json()["message"]
    assert served.world.kube.find(f"{maps()}/{name}") is None
    assert [each.code for each in served.recorded(3)] == [406] * 3


def test_an_answer_comes_plain_to_who_asks_for_gzip(served: Served, name: str) -> None:
    served.world.kube.create(maps(), config_map(name, text="x" * 400_000))
    answer = served.http().get(f"{maps()}/{name}", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert len(answer.json()["data"]["text"]) == 400_000


def test_a_table_is_passed(served: Served) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    assert served.http().get(maps(), headers={"Accept": accept}).json()["kind"] == "Table"
    with Watching(served.http(headers={"Accept": accept}), maps(), timeoutSeconds="1") as watch:
        assert watch.ended.wait(WITHIN_S)
        assert watch.error is None


def test_a_large_list_is_passed_whole(served: Served, world: World) -> None:
    label = f"l-{uuid.uuid4().hex[:8]}"
    for number in range(9):
        item = config_map(f"{label}-{number}", text=str(number) * 1_000_000)
        item["metadata"]["labels"] = {"set": label}
        world.kube.create(maps(), item)
    listing = served.http().get(maps(), params={"labelSelector": f"set={label}"})
    assert len(listing.content) > 8_000_000
    assert {len(item["data"]["text"]) for item in listing.json()["items"]} == {1_000_000}
    world.kube.request("DELETE", maps(), query={"labelSelector": f"set={label}"})


def test_a_large_body_is_passed_whole(served: Served, name: str) -> None:
    text = "ab" * 400_000
    for client in (served.http(),):
        assert client.post(maps(), json=config_map(name, text=text)).status_code == 201
    assert served.world.kube.get(f"{maps()}/{name}")["data"]["text"] == text
    patch = json.dumps({"data": {"text": text[:-1] + "c"}}) + " " * 1_500_000
    headers = {"Content-Type": "application/merge-patch+json"}
    assert served.http().patch(f"{maps()}/{name}", content=patch, headers=headers).status_code == 200
    assert served.world.kube.get(f"{maps()}/{name}")["data"]["text"].endswith("c")


def test_a_body_too_large_is_refused_as_the_api_server_refuses_it(served: Served, name: str) -> None:
    text = "x" * 3_500_000
    answer = served.http().post(maps(), json=config_map(name, text=text))
    assert answer.status_code == 413
    with pytest.raises((httpx.WriteError, httpx.ReadError, httpx.HTTPStatusError)):  # noqa: PT012
        answer = served.http().post(maps(), content=b"{" + b" " * 6_000_000)
        assert answer.status_code == 413
        answer.raise_for_status()
    assert [each.code for each in served.recorded(2)] == [413, 413]


def test_a_chunked_body_is_passed(served: Served, name: str) -> None:
    data = json.dumps(config_map(name, a="1")).encode()

    def pieces() -> Iterator[bytes]:
        for byte in data:
            yield bytes([byte])

    answer = served.http().post(maps(), content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    assert served.world.kube.get(f"{maps()}/{name}")["data"] == {"a": "1"}


def test_who_waits_for_100_continue_gets_it(served: Served, name: str) -> None:
    connection = served.connect()
    data = json.dumps(config_map(name)).encode()
    connection.sendall(
        f"POST {maps()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.world.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\nExpect: 100-continue\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    connection.settimeout(WITHIN_S)
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer_on(connection, data).startswith(b"HTTP/1.1 201 Created\r\n")
    assert served.world.kube.find(f"{maps()}/{name}") is not None


def test_head_has_a_head_only(served: Served) -> None:
    client = served.http()
    answer, past = client.head("/healthz"), served.direct().head("/healthz")
    assert (answer.status_code, answer.content) == (past.status_code, b"")
    assert answer.headers["content-length"] == past.headers["content-length"] != "0"
    assert client.get("/version").json()["major"] == "1", "the connection is still in step"


def test_a_client_of_http_1_0_is_served(served: Served) -> None:
    request = f"GET /version HTTP/1.0\r\nAuthorization: Bearer {served.world.token}\r\n\r\n"
    answer = answer_on(served.connect(), request.encode())
    assert answer.split(b"\r\n")[0].endswith(b"200 OK")
    assert b'"major": "1"' in answer


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    head = f"Host: x\r\nAuthorization: Bearer {served.world.token}\r\n"
    targets = ["/version", "/apis/apps/v1", "/healthz", "/api/v1"]
    requests = "".join(f"GET {target} HTTP/1.1\r\n{head}\r\n" for target in targets)
    requests += f"GET /healthz HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    answer = answer_on(served.connect(), requests.encode())
    assert answer.count(b"HTTP/1.1 200 OK") == 5
    marks = [b'"major"', b'"deployments"', b"\r\n\r\nok", b'"pods"']
    places = [answer.index(mark) for mark in marks]
    assert places == sorted(places)


# --- watches -------------------------------------------------------------------------------------


def test_a_watch_opens_before_anything_happens(served: Served) -> None:
    version = served.world.kube.get(maps())["metadata"]["resourceVersion"]
    with Watching(served.http(), maps(), resourceVersion=version) as watch:
        assert watch.events == []
        assert served.world.proxy.open_watches(Match(resources=frozenset({"configmaps"}))) >= 1


def test_each_frame_of_a_watch_arrives_before_the_next_is_made(served: Served, name: str) -> None:
    kube = served.world.kube
    version = kube.get(maps())["metadata"]["resourceVersion"]
    with Watching(served.http(), maps(), resourceVersion=version) as watch:
        kube.create(maps(), config_map(name))
        watch.told(name, "ADDED")
        for turn in range(5):
            kube.patch(f"{maps()}/{name}", {"data": {"turn": str(turn)}})
            watch.told(name, "ADDED", *["MODIFIED"] * (turn + 1))
        kube.delete(f"{maps()}/{name}")
        watch.told(name, "ADDED", *["MODIFIED"] * 5, "DELETED")


def test_a_list_through_a_watch_works(served: Served, name: str) -> None:
    served.world.kube.create(maps(), config_map(name))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with Watching(served.http(), maps(), **query) as watch:
        watch.told(name, "ADDED")

        def synced() -> None:
            if not any(event["type"] == "BOOKMARK" for event in watch.events):
                raise NotYet("no bookmark")

        wait_for(synced, timeout_s=WITHIN_S)


def test_a_watch_ends_when_the_api_server_ends_it(served: Served) -> None:
    with Watching(served.http(), maps(), timeoutSeconds="1") as watch:
        assert watch.ended.wait(WITHIN_S)
        assert watch.error is None
    [exchange] = served.recorded(verb="watch")
    assert exchange.code == 200
    assert exchange.t_end - exchange.t > 0.5


def test_a_refused_watch_is_refused(served: Served) -> None:
    answer = served.http(served.world.powerless).get(maps(), params={"watch": "1"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")


def test_a_watch_the_client_leaves_is_on_record_as_answered(served: Served) -> None:
    with Watching(served.http(), maps()):
        pass
    [exchange] = served.recorded(verb="watch")
    assert exchange.code == 200


def test_a_killed_client_leaves_nothing_open(served: Served) -> None:
    world = served.world
    meant = Match(resources=frozenset({"configmaps"}))
    before = world.upstream_connections()
    code = (
        "import http.client, ssl, sys\n"
        "ca, port, token = sys.argv[1:]\n"
        "trust = ssl.create_default_context(cafile=ca)\n"
        "open = []\n"
        "for _ in range(20):\n"
        "    c = http.client.HTTPSConnection('127.0.0.1', int(port), context=trust)\n"
        "    c.request('GET', '/api/v1/namespaces/default/configmaps?watch=1',\n"
        "              headers={'Authorization': 'Bearer ' + token})\n"
        "    open.append(c.getresponse())\n"
        "print('watching', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, world.folder / "ca.crt", str(served.port), world.token],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"watching\n"
        assert world.proxy.open_watches(meant) >= 20
        assert world.upstream_connections() >= before + 20
        process.send_signal(signal.SIGKILL)

    def gone() -> None:
        left = world.upstream_connections(), world.proxy.open_watches(meant)
        # A few that are idle may be kept for who comes next.
        if left[0] > before + 2 or left[1]:
            raise NotYet(f"{left} connections and watches left")

    wait_for(gone, timeout_s=WITHIN_S)
    assert len(served.recorded(20, verb="watch")) == 20


def test_a_client_that_is_no_longer_served_is_cut(world: World, name: str) -> None:
    with world.served(name) as served, served.opened:
        watch = Watching(served.http(), maps()).__enter__()
    assert watch.ended.wait(WITHIN_S)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port))


def test_an_api_server_that_is_not_there_cuts_the_connection(world: World, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert world.cluster.serving is not None
    serving = Serving(f"https://127.0.0.1:{port}", world.folder / "ca.crt", *world.cluster.serving)
    with (
        FaultProxy(serving, world.recording) as proxy,
        socket.create_server(("127.0.0.1", 0)) as listener,
        proxy.serve(listener, name),
    ):
        served = Served(world, name, listener.getsockname()[1])
        with served.opened, pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            served.http().get("/version")
        assert [each.code for each in served.recorded()] == [0]


def test_what_was_recorded_is_read_back(tmp_path: Any, world: World, name: str) -> None:
    with world.served(name) as served, served.opened:
        served.http().get(f"/api/v1/namespaces/{quote('a b')}/pods")
        records = [*served.recorded(), *served.disturbances("none")]
    from graders.evidence.bundle import BundleWriter

    with BundleWriter(tmp_path) as writer:
        for record in records:
            writer.add(record)
        writer.close(make_manifest())
    assert Bundle(tmp_path).exchanges == tuple(records)
