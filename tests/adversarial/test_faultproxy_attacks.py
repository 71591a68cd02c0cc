"""A hostile client of the fault proxy, byte by byte: nothing is reached unseen, and nobody else is harmed.

After every attack another program is served as before, and the proxy has no fault: what a learner's program
does is never the harness's trouble.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest

from graders.evidence.records import AuditEvent
from graders.faultproxy import (
    CrashPoint,
    HoldWatchEvents,
    InterleavedWrite,
    Match,
    Respond,
    RuleAnswer,
    writes_in,
)
from graders.faultproxy.listener import MOST_CONNECTIONS
from graders.polling import NotYet, wait_for
from tests.cluster.proxied import WITHIN_S, Served, Watching, World, config_map, maps, proxied

pytestmark = [pytest.mark.adversarial, pytest.mark.cluster]

MIB = 1024 * 1024
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
IN_DEFAULT = Match(resources=frozenset({"configmaps"}), namespaces=frozenset({"default"}))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with proxied(tmp_path_factory.mktemp("attacked"), "attacked") as world:
        yield world


@pytest.fixture
def name() -> str:
    """A name of the test's own."""
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def attacker(world: World, name: str) -> Iterator[Served]:
    """The hostile program's listener, with what must hold after whatever it did."""
    with world.served(f"{name}-bystander") as bystander, bystander.opened:
        connected = bystander.http()
        assert connected.get("/version").status_code == 200
        with world.served(name) as served, served.opened:
            yield served
            for client in (connected, bystander.http(), bystander.http(world.powerless)):
                assert client.get("/version").status_code == 200
            answer = bystander.http().post(REVIEWS, content=REVIEW, headers=JSON)
            assert answer.json()["status"]["userInfo"]["username"].endswith(":worker")
            assert world.proxy.fault is None, repr(world.proxy.fault)


JSON = {"Content-Type": "application/json"}


def head(served: Served, target: str, method: str = "GET", *more: str, agent: str = "") -> bytes:
    """The head of a request with the attacker's token, without the empty line that ends it."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: kubernetes",
        f"Authorization: Bearer {served.world.token}",
        f"User-Agent: {agent or served.instance}",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def said(served: Served, request: bytes) -> bytes:
    """All that comes until the proxy ends the connection."""
    received = b""
    connection = served.connect()
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        connection.sendall(request)
        while chunk := connection.recv(65536):
            received += chunk
    return received


def codes(received: bytes) -> list[int]:
    return [int(line.split()[1]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.")]


def after_all(served: Served) -> list[AuditEvent]:
    """What the API server heard of the attacker's, once it has heard of a request made after it all."""
    world, fence = served.world, f"fence-{uuid.uuid4().hex}"
    assert served.http().get("/version", headers={"User-Agent": fence}).status_code == 200
    assert served.http().get(maps(), headers={"User-Agent": fence}).status_code == 200
    served.audited(fence)
    events = [record for record in list(world.writer.records) if isinstance(record, AuditEvent)]
    return [event for event in events if event.user_agent == served.instance]


def nothing_came_unseen(served: Served) -> None:
    """Whatever reached the API server is on record, as what it was."""
    heard = Counter(_short(e.verb, e.resource, e.subresource, e.namespace, e.name) for e in after_all(served))
    seen = Counter(_short(e.verb, e.resource, e.subresource, e.namespace, e.name) for e in served.exchanges())
    assert heard <= seen


def _short(verb: str, resource: str, subresource: str, namespace: str, name: str) -> tuple[str, ...]:
    if resource.startswith("/"):
        return (verb, "no resource")
    # What is created has its name from its answer in the audit log.
    return (verb, resource, subresource, namespace, "" if verb == "create" else name)


# --- smuggling -----------------------------------------------------------------------------------

BODY = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"}}'


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


FRAMINGS = {
    "both lengths": (("Content-Length: 4", "Transfer-Encoding: chunked"), chunked(BODY)),
    "both lengths, the other way": (("Transfer-Encoding: chunked", "Content-Length: 4"), chunked(BODY)),
    "two lengths": (("Content-Length: 4", f"Content-Length: {len(BODY)}"), BODY),
    "a list of lengths": ((f"Content-Length: {len(BODY)}, 4",), BODY),
    "a signed length": ((f"Content-Length: +{len(BODY)}",), BODY),
    "a negative length": (("Content-Length: -1",), BODY),
    "a hexadecimal length": (("Content-Length: 0x41",), BODY),
    "a length with a space": (("Content-Length: 6 5",), BODY),
    "a huge length": (("Content-Length: 99999999999999999999999",), BODY),
    "another coding": (("Transfer-Encoding: xchunked",), chunked(BODY)),
    "two codings": (("Transfer-Encoding: chunked, identity",), chunked(BODY)),
    "chunked twice": (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), chunked(BODY)),
    "a coding behind a space": (("Transfer-Encoding : chunked",), chunked(BODY)),
    "a coding behind a tab": (("Transfer-Encoding:\tchunked",), chunked(BODY)),
    "a coding on a folded line": (("Transfer-Encoding:", " chunked"), chunked(BODY)),
    "a coding with a vertical tab": (("Transfer-Encoding: \x0bchunked",), chunked(BODY)),
    "a folded length": (("X-A: b", f" Content-Length: {len(BODY)}"), BODY),
    "a length behind a bare line feed": ((f"X-A: b\nContent-Length: {len(BODY)}",), BODY),
    "a length behind a bare return": ((f"X-A: b\rContent-Length: {len(BODY)}",), BODY),
    "a length behind a zero": ((f"X-A: b\0Content-Length: {len(BODY)}",), BODY),
    "a chunk with an extension": (
        ("Transfer-Encoding: chunked",),
        b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    ),
    "an extension with a line feed": (
        ("Transfer-Encoding: chunked",),
        b"%x;a\nb\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    ),
    "a chunk of no size": (("Transfer-Encoding: chunked",), b";a\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk of negative size": (("Transfer-Encoding: chunked",), b"-1\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk of endless size": (
        ("Transfer-Encoding: chunked",),
        b"f" * 40 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    ),
    "a chunk that does not end": (
        ("Transfer-Encoding: chunked",),
        b"%x\r\n%sXX0\r\n\r\n" % (len(BODY), BODY),
    ),
    "chunks behind bare line feeds": (
        ("Transfer-Encoding: chunked",),
        b"%x\n%s\n0\n\n" % (len(BODY), BODY),
    ),
    "trailers": (
        ("Transfer-Encoding: chunked", "Trailer: Authorization"),
        b"%x\r\n%s\r\n0\r\nContent-Length: 4\r\nAuthorization: Bearer x\r\n\r\n" % (len(BODY), BODY),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMINGS)
def test_no_framing_hides_a_request_in_another(attacker: Served, name: str, case: str) -> None:
    lines, body = FRAMINGS[case]
    hidden = head(attacker, f"{maps('other')}/{name}-hidden", "GET") + b"\r\n"
    for outer in ("POST", "GET"):
        request = head(attacker, maps(), outer, "Content-Type: application/json", *lines) + b"\r\n"
        last = head(attacker, "/version", "GET", "Connection: close") + b"\r\n"
        said(attacker, request + body.replace(b"NAME", name.encode()[:4]) + hidden + last)
    nothing_came_unseen(attacker)


@pytest.mark.parametrize(
    "first",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 64,
        b"GET /version\r\n\r\n",
        b"GET /version HTTP/3.7\r\n\r\n",
        b"GET  /version HTTP/1.1\r\n\r\n",
        b"GET /version x HTTP/1.1\r\n\r\n",
        b"GET\t/version\tHTTP/1.1\r\n\r\n",
        b" GET /version HTTP/1.1\r\n\r\n",
        b"get /version HTTP/1.1\r\n\r\n",
        b"G\xc3\x8bT /version HTTP/1.1\r\n\r\n",
        b"X" * 5000 + b" /version HTTP/1.1\r\n\r\n",
        b"\r\n" * 1000,
        b"\0" * 100_000,
        b"\xff\xfe" * 1000 + b"\r\n\r\n",
        b"GET /version HTTP/1.1\r\nA b: c\r\n\r\n",
        b"GET /version HTTP/1.1\r\n: c\r\n\r\n",
        b"GET /version HTTP/1.1\r\nA\xff: c\r\n\r\n",
        b"GET /version HTTP/1.1\r\nA: \x01\x7f\r\n\r\n",
    ],
    ids=lambda first: repr(first[:24]),
)
def test_what_is_no_request_gets_nowhere(attacker: Served, first: bytes) -> None:
    received = said(attacker, first + head(attacker, "/version", "GET", "Connection: close") + b"\r\n")
    assert len(codes(received)) <= 2
    nothing_came_unseen(attacker)


def test_random_bytes_get_nowhere(attacker: Served) -> None:
    plain = socket.create_connection(("127.0.0.1", attacker.port), timeout=WITHIN_S)
    with plain, contextlib.suppress(ConnectionError):
        plain.sendall(b"GET /version HTTP/1.1\r\n\r\n" * 100)
        while plain.recv(65536):
            pass


# --- other destinations --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "http://DECOY/version", "https://DECOY/version", "HTTPS://x@DECOY/", "//DECOY/version", "///DECOY/",
        "/\\DECOY/", "\\\\DECOY/", "@DECOY/", "/@DECOY/", ":@DECOY", ".DECOY", "DECOY", "*", "?@DECOY",
        "/#@DECOY/", "/version?@DECOY/", "/%2f%2fDECOY/", "/..//DECOY/", "/\tDECOY", "/:80/@DECOY",
        "/[::1]", "/[", "http:/DECOY", "http:DECOY/", "ftp://DECOY/", "unix:/DECOY", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT", "OPTIONS"])
def test_no_target_makes_the_proxy_call_anybody_else(attacker: Served, target: str, method: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as decoy:
        address = f"127.0.0.1:{decoy.getsockname()[1]}"
        for more in ((), (f"Host: {address}", f"X-Forwarded-Host: {address}", f"Forwarded: host={address}")):
            lines = ("Connection: close", "Content-Length: 0", *more)
            request = head(attacker, target.replace("DECOY", address), method, *lines)
            received = said(attacker, request + b"\r\n")
            assert all(code >= 400 or b'"major": "1"' in received for code in codes(received))
        decoy.setblocking(False)
        with pytest.raises(BlockingIOError):
            decoy.accept()
    nothing_came_unseen(attacker)


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: v5.channel.k8s.io"),
        ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    ],
    ids=["websocket", "spdy", "h2c"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT"])
@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/namespaces/default/pods/x/exec?command=sh&stdin=true",
        "/api/v1/namespaces/default/pods/x/portforward?ports=80",
        "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1",
        "/version",
    ],
)
def test_nothing_is_upgraded_to_a_tunnel(
    attacker: Served, lines: tuple[str, ...], method: str, target: str
) -> None:
    hidden = head(attacker, f"{maps()}/hidden") + b"\r\n"
    connection = attacker.connect()
    connection.sendall(head(attacker, target, method, *lines) + b"\r\n" + hidden)
    received = connection.recv(65536)
    assert 101 not in codes(received)
    # In a tunnel a close frame would be answered; what follows a refused upgrade is at most requests.
    connection.close()
    nothing_came_unseen(attacker)


# --- identity ------------------------------------------------------------------------------------

CLAIMS = {
    "impersonation": ("Impersonate-User: system:admin", "Impersonate-Group: system:masters"),
    "impersonation, spelled oddly": ("impersonate-USER: system:admin", "Impersonate-Uid: 0"),
    "front proxy": (
        "X-Remote-User: system:admin", "X-Remote-Group: system:masters", "X-Remote-Uid: 0",
        "X-Remote-Extra-Scopes: all",
    ),
    "hidden from the proxy": (
        "Connection: X-Remote-User, Authorization", "X-Remote-User: system:admin",
        "X-Remote-Group: system:masters",
    ),
    "forwarded": (
        "X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1;by=admin",
        "X-Forwarded-Client-Cert: Subject=\"CN=system:admin,O=system:masters\"", "X-Forwarded-User: admin",
    ),
    "two tokens": ("Authorization: Bearer forged",),
    "cookies": ("Cookie: user=system:admin", "Proxy-Authorization: Bearer forged"),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without one"])
def test_no_header_makes_a_client_somebody_else(attacker: Served, case: str, token: bool) -> None:
    lines = ("Content-Type: application/json", f"Content-Length: {len(REVIEW)}", *CLAIMS[case])
    request = head(attacker, REVIEWS, "POST", "Connection: close", *lines)
    if not token:
        request = request.replace(f"Authorization: Bearer {attacker.world.token}\r\n".encode(), b"")
    received = said(attacker, request + b"\r\n" + REVIEW.encode())
    [code] = codes(received)
    # Who has no token is nobody; who has one is who it says, or is refused.
    assert code in ((201, 400, 403) if token else (401, 403))
    heard = after_all(attacker)
    assert {event.user for event in heard} <= ({WORKER} if token else {"", "system:anonymous"})
    assert b"system:masters" not in received
    if code == 201:
        assert json.loads(received.split(b"\r\n\r\n")[1])["status"]["userInfo"]["username"] == WORKER


WORKER = "system:serviceaccount:default:worker"


# --- what rules mean -----------------------------------------------------------------------------

SPELLINGS = [
    "/api/v1/namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/default/configmaps/NAME/",
    "//api/v1/namespaces/default/configmaps/NAME",
    "/api//v1/namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/default//configmaps/NAME",
    "/api/v1/namespaces/default/configmaps//NAME",
    "/%61pi/v1/namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/default/config%6daps/NAME",
    "/api/v1/namespaces/default%2fconfigmaps%2FNAME",
    "/api/v1/namespaces/%64efault/configmaps/NAME",
    "/api/v1/namespaces/default/configmaps/%6eAME",
    "/api/v1/./namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/other/../default/configmaps/NAME",
    "/api/v1/namespaces/other/%2e%2e/default/configmaps/NAME",
    "/api/v1/namespaces/default/pods/../configmaps/NAME",
    "/api/v1/namespaces/default/events/%2e%2e/configmaps/NAME",
    "/api/v1/namespaces/default/configmaps;a=b/NAME",
    "/api/v1/namespaces/default;a=b/configmaps/NAME",
    "/api/v1/namespaces/default/configmaps/NAME;a=b",
    "/api/v1/namespaces/default/configmaps/NAME%00",
    "/api/v1/namespaces/default/configmaps/NAME%20",
    "/api/v1/namespaces/default/configmaps/NAME%0d%0aX:%20y",
    "/api/v1/namespaces/default/configmaps/NAME%3Fa=b",
    "/api/v1/namespaces/default/configmaps/NAME%23a",
    "/api/v1/namespaces/default/configmaps/%zzNAME",
    "/api/v1/namespaces/default/configmaps\\NAME",
    "/api/v1\\namespaces\\default\\configmaps\\NAME",
    "/API/v1/namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/default/ConfigMaps/NAME",
    "/api/v1/Namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/default/con\xffigmaps/NAME",
    "/api/v1/namespaces/default/configmaps/\xc1\xae\xc1\xae/NAME",
    "/api/v1/namespaces/default/configmaps/%c0%ae%c0%ae/NAME",
    "/api/v1/namespaces/default/configmaps/NAME?namespace=other",
    "/api/v1/namespaces/default/configmaps/NAME?&;%zz",
    "/api/v1/namespaces/default/configmaps/NAME#/api/v1/nodes",
    "/api/v1/watch/namespaces/default/configmaps/NAME",
    "/api/v1/proxy/namespaces/default/configmaps/NAME",
    "/apis//v1/namespaces/default/configmaps/NAME",
    "/apis/v1/namespaces/default/configmaps/NAME",
    "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3DNAME",
    "https://kubernetes/api/v1/namespaces/default/configmaps/NAME",
]


@pytest.mark.parametrize("target", SPELLINGS)
def test_no_spelling_of_a_path_dodges_a_rule(attacker: Served, name: str, target: str) -> None:
    kube = attacker.world.kube
    kept = kube.create(maps(), config_map(name, a="1"))
    target = target.replace("%6eAME", f"%6d{name[1:]}").replace("NAME", name)
    body = json.dumps(config_map(name, a="2")).encode()
    rule = Respond("refused", writes_in("default"), RuleAnswer(503))
    with attacker.world.proxy.disturb(rule):
        for method, kind in (
            ("PUT", "application/json"),
            ("PATCH", "application/merge-patch+json"),
            ("POST", "application/json"),
            ("DELETE", "application/json"),
        ):
            sent = b"" if method == "DELETE" else body
            lines = ("Connection: close", f"Content-Type: {kind}", f"Content-Length: {len(sent)}")
            request = head(attacker, "TARGET", method, *lines).replace(b"TARGET", target.encode("latin-1"))
            received = said(attacker, request + b"\r\n" + sent)
            assert all(code >= 400 for code in codes(received)), received
    assert kube.get(f"{maps()}/{name}")["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]


OPTIONS = {"apiVersion": "v1", "kind": "DeleteOptions"}
TRIALS: dict[str, tuple[str, str, bytes]] = {
    "a body without it": ("DELETE", "dryRun=All", json.dumps(OPTIONS).encode()),
    "an empty object": ("DELETE", "dryRun=All", b"{}"),
    "a body that has it and has it not": ("DELETE", "dryRun=All", b'{"dryRun":["All"],"dryRun":[]}'),
    "a body in YAML": ("DELETE", "dryRun=All", b"apiVersion: v1\nkind: DeleteOptions\n"),
    "an empty value": ("DELETE", "dryRun=", b""),
    "a broken escape": ("DELETE", "dryRun=%zz", b""),
    "a semicolon": ("DELETE", "a=b;dryRun=All", b""),
    "a semicolon behind": ("DELETE", "dryRun=All;", b""),
    "another case": ("DELETE", "dryrun=All", b""),
    "a broken key": ("DELETE", "dryRun%=All", b""),
    "a patch": ("PATCH", "dryRun=All%", b'{"data":{"a":"2"}}'),
    "a patch with a body that says so": ("PATCH", "", b'{"dryRun":["All"],"data":{"a":"2"}}'),
    "an update": ("PUT", "dryRun=All;", b"SELF"),
}


@pytest.mark.parametrize("case", TRIALS)
def test_no_write_passes_for_a_trial(attacker: Served, name: str, case: str) -> None:
    """What is only tried is none of a crash point's writes; what is written has to be."""
    method, query, body = TRIALS[case]
    kube = attacker.world.kube
    kept = kube.create(maps(), config_map(name, a="1"))
    rule = CrashPoint("crash", writes_in("default"), 1)
    body = body.replace(b"SELF", json.dumps(config_map(name, a="2")).encode())
    kind = {"PATCH": "application/merge-patch+json"}.get(method, "application/json")
    if case.endswith("YAML"):
        kind = "application/yaml"
    with attacker.world.proxy.disturb(rule):
        assert attacker.http().post(maps(), json=config_map(f"{name}-2")).status_code == 201
        assert rule.reached.is_set()
        attacker.http().request(
            method, f"{maps()}/{name}?{query}", content=body, headers={"Content-Type": kind}
        )
        now = kube.find(f"{maps()}/{name}")
    assert now is not None
    assert now["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]


@pytest.mark.parametrize("body", [b"", b'{"dryRun":["All"]}'], ids=["in the query", "in the body"])
def test_a_trial_is_no_write(attacker: Served, name: str, body: bytes) -> None:
    attacker.world.kube.create(maps(), config_map(name))
    rule = CrashPoint("crash", writes_in("default"), 1)
    query = {} if body else {"dryRun": "All"}
    with attacker.world.proxy.disturb(rule):
        answer = attacker.http().request(
            "DELETE", f"{maps()}/{name}", params=query, content=body, headers=JSON
        )
        assert answer.status_code == 200
        assert not rule.reached.is_set()
    assert attacker.world.kube.find(f"{maps()}/{name}") is not None


WATCHES = {
    "as usual": ("/api/v1/configmaps?watch=1", ()),
    "by path": ("/api/v1/watch/configmaps", ()),
    "by an odd word": ("/api/v1/configmaps?watch=yes", ()),
    "by an encoded key": ("/api/v1/configmaps?w%61tch=1", ()),
    "by the second value, the first broken": ("/api/v1/configmaps?watch=0;&watch=1", ()),
    "by the second value, the first escaped badly": ("/api/v1/configmaps?watch=0%&watch=1", ()),
    "with an empty first list": ("/api/v1/configmaps?watch=1&resourceVersion=0", ()),
    "as a table": (
        "/api/v1/configmaps?watch=1",
        ("Accept: application/json;as=Table;v=v1;g=meta.k8s.io, application/json",),
    ),
    "as a table with nothing in it": (
        "/api/v1/configmaps?watch=1&includeObject=None",
        ("Accept: application/json;as=Table;v=v1;g=meta.k8s.io",),
    ),
    "as a table, spelled oddly": (
        "/api/v1/configmaps?watch=1&includeObject=None",
        ('Accept: application/json; AS = "Table" ;v=v1;g=meta.k8s.io, application/json ;as=Table ;v=v1'
         ";g=meta.k8s.io",),
    ),
    "metadata alone": (
        "/api/v1/configmaps?watch=1",
        ("Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",),
    ),
    "in YAML": ("/api/v1/configmaps?watch=1", ("Accept: application/yaml",)),
    "in protobuf": (
        "/api/v1/configmaps?watch=1",
        ("Accept: application/vnd.kubernetes.protobuf;stream=watch",),
    ),
    "in CBOR": ("/api/v1/configmaps?watch=1", ("Accept: application/cbor-seq, application/cbor",)),
    "compressed": ("/api/v1/configmaps?watch=1", ("Accept-Encoding: gzip, zstd",)),
    "through a websocket": (
        "/api/v1/configmaps?watch=1",
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WATCHES)
def test_no_way_to_watch_dodges_a_rule(attacker: Served, name: str, case: str) -> None:
    target, lines = WATCHES[case]
    kube = attacker.world.kube
    rule = HoldWatchEvents("held", IN_DEFAULT)
    received = bytearray()
    with attacker.world.proxy.disturb(rule):
        connection = attacker.connect()
        connection.sendall(head(attacker, target, "GET", *lines) + b"\r\n")
        received += connection.recv(65536)
        [code] = codes(bytes(received))
        if code != 200:
            assert code in (400, 406)
            return
        kube.create(maps(), config_map(f"{name}-hidden"))
        kube.create(maps("other"), config_map(f"{name}-shown", "other"))
        while f"{name}-shown".encode() not in received:
            chunk = connection.recv(65536)
            assert chunk, bytes(received[-2000:])
            received += chunk
        assert f"{name}-hidden".encode() not in received
        rule.let_go("all")
        while f"{name}-hidden".encode() not in received:
            chunk = connection.recv(65536)
            assert chunk
            received += chunk


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /api/v1/namespaces/\xff\xfe/pods HTTP/1.1",
        b"GET /api/v1/namespaces/\xc3\xa4/pods HTTP/1.1",
        b"GET /api/v1/namespaces/%ff%fe%00/pods HTTP/1.1",
        b"GET /api/v1/namespaces/%ed%a0%80/pods HTTP/1.1",
        b"GET /api/v1/namespaces/x/pods?labelSelector=\xff HTTP/1.1",
        b"GET /api/v1/namespaces/x/pods?labelSelector=%ff%00 HTTP/1.1",
        b"GET /version HTTP/1.1\r\nX-A: \xff\xfe",
        b"GET /version HTTP/1.1\r\nX-A: \xed\xa0\x80",
        b"GET /version HTTP/1.1\r\nX-A: \xc3\xa4",
        b"GET /version HTTP/1.1\r\nAccept: \xff/\xff",
        b"GET /version HTTP/1.1\r\nContent-Type: \xff",
        b"GET /version HTTP/1.1\r\nExpect: \xff",
        b"GET /version HTTP/1.1\r\nUser-Agent: \xff\xed\xa0\x80",
    ],
    ids=lambda line: repr(line[4:50]),
)
def test_bytes_that_are_no_text_break_nothing(attacker: Served, request_line: bytes) -> None:
    token = f"Authorization: Bearer {attacker.world.token}"
    received = said(attacker, request_line + f"\r\nHost: x\r\n{token}\r\nConnection: close\r\n\r\n".encode())
    assert codes(received)[0] in (200, 400, 403, 404, 406)
    after_all(attacker)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/vnd.kubernetes.protobuf", b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap" + b"\xff" * 100),
        ("application/cbor", b"\xd9\xd9\xf7" + b"\x9f" * 5000),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"a":' * 20_000),
        ("application/yaml", b"a: &a [x]\nb: &b [*a,*a]\n" * 10),
        ("multipart/form-data; boundary=x", b"--x\r\n" * 100),
        ("text/plain; charset=\"\\", b"\xff"),
    ],
    ids=["protobuf", "cbor", "deep list", "deep object", "yaml", "multipart", "broken"],
)  # fmt: skip
def test_bodies_of_any_kind_break_nothing(
    attacker: Served, name: str, method: str, kind: str, body: bytes
) -> None:
    seen: list[bytes] = []
    rule = InterleavedWrite("seen", writes_in("default"), lambda asked, read: seen.append(read))
    lines = ("Connection: close", f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    with attacker.world.proxy.disturb(rule):
        received = said(attacker, head(attacker, f"{maps()}/{name}", method, *lines) + b"\r\n" + body)
    assert codes(received)[0] >= 400
    assert seen == ([body] if method not in ("GET",) else [])
    assert rule.error is None


# --- more than it can take -----------------------------------------------------------------------


class Growth:
    """By how many bytes this process, where the proxy runs, has grown at most while the block ran."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self._process = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Growth:
        self._before = self._process.memory_info().rss
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.most_bytes = max(self.most_bytes, self._process.memory_info().rss - self._before)
            if self._over.wait(0.02):
                return


def pour(connection: socket.socket, block: bytes, times: int) -> int:
    """Send a block again and again until nobody takes it any more; gives how many bytes were taken."""
    taken = 0
    connection.settimeout(3.0)
    with contextlib.suppress(OSError):
        for _ in range(times):
            connection.sendall(block)
            taken += len(block)
    return taken


@pytest.mark.parametrize("framing", ["Content-Length: 104857600", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)], ids=["at once", "asking first"])
def test_a_body_without_measure_is_not_kept(attacker: Served, framing: str, expect: tuple[str, ...]) -> None:
    block = b"x" * MIB if framing.startswith("Content") else b"%x\r\n%s\r\n" % (MIB, b"x" * MIB)
    with Growth() as growth:
        connections = [attacker.connect() for _ in range(4)]
        for connection in connections:
            lines = ("Content-Type: application/json", framing, *expect)
            connection.sendall(head(attacker, maps(), "POST", *lines) + b"\r\n")
            assert pour(connection, block, 100) < 100 * MIB
    assert growth.most_bytes < 64 * MIB
    attacker.recorded(4, verb="create", code=413)


def test_a_compressed_body_is_not_inflated(attacker: Served) -> None:
    bomb = gzip.compress(b"\0" * 100 * MIB)
    with Growth() as growth:
        for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
            lines = ("Connection: close", "Content-Type: application/json", f"Content-Encoding: {coding}")
            request = head(attacker, maps(), "POST", *lines, f"Content-Length: {len(bomb)}")
            assert codes(said(attacker, request + b"\r\n" + bomb))[0] >= 400
    assert growth.most_bytes < 32 * MIB


def test_requests_that_pile_up_behind_one_are_not_kept(attacker: Served) -> None:
    connection = attacker.connect()
    connection.sendall(head(attacker, f"{maps()}?watch=1") + b"\r\n")
    connection.recv(100)
    with Growth() as growth:
        taken = pour(connection, b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" * 5000, 1000)
    assert taken < 100 * MIB
    assert growth.most_bytes < 64 * MIB


def test_answers_that_are_not_read_are_not_kept(attacker: Served, name: str) -> None:
    attacker.world.kube.create(maps(), config_map(name, text="x" * 200_000))
    with Growth() as growth:
        for _ in range(100):
            pour(attacker.connect(), (head(attacker, f"{maps()}/{name}") + b"\r\n") * 20, 1)
        attacker.recorded(100, name=name)
    assert growth.most_bytes < 160 * MIB
    attacker.world.kube.delete(f"{maps()}/{name}")


def test_watches_that_are_not_read_are_not_kept(attacker: Served, name: str) -> None:
    """Many, of the largest objects there are: what one program leaves unread is bounded."""
    kube = attacker.world.kube
    kube.create(maps(), config_map(name, text="x" * 1_000_000))
    deaf = 200
    with Growth() as growth:
        for _ in range(deaf):
            attacker.connect().sendall(head(attacker, f"{maps()}?watch=1") + b"\r\n")
        with (
            attacker.world.served(f"{name}-reader") as reader,
            reader.opened,
            Watching(reader.http(), maps()) as watch,
        ):
            for turn in range(15):
                kube.patch(f"{maps()}/{name}", {"data": {"turn": str(turn)}})
            watch.told(name, "ADDED", *["MODIFIED"] * 15)
    assert growth.most_bytes < 600 * MIB
    kube.delete(f"{maps()}/{name}")


def test_heads_that_never_end_keep_nobody_waiting(attacker: Served) -> None:
    for part in (b"", b"G", b"GET /version HTTP/1.1\r\n", head(attacker, "/version"), b"\x00"):
        for _ in range(20):
            attacker.connect().sendall(part)
    for _ in range(50):
        socket_ = socket.create_connection(("127.0.0.1", attacker.port))
        attacker.opened.push(socket_)
        socket_.sendall(b"\x16\x03\x01")
    assert attacker.http().get("/version").status_code == 200


@pytest.mark.parametrize(
    "lines",
    [
        ["X-A: " + "a" * MIB],
        [f"X-{number}: a" for number in range(5000)],
        ["X-" + "a" * MIB + ": a"],
        ["Cookie: " + "a=b; " * 100_000],
        ["Accept: " + "application/json," * 400],
    ],
    ids=["value", "many", "name", "cookie", "accept"],
)
def test_a_head_without_measure_is_refused(attacker: Served, lines: list[str]) -> None:
    with Growth() as growth:
        received = said(attacker, head(attacker, "/version", "GET", "Connection: close", *lines) + b"\r\n")
    assert codes(received) in ([], [400], [431], [200])
    assert growth.most_bytes < 32 * MIB
    received = said(attacker, head(attacker, "/version?" + "a" * MIB, "GET", "Connection: close") + b"\r\n")
    assert codes(received) in ([], [400], [414])


def test_more_connections_than_it_may_have_harm_only_itself(attacker: Served, name: str) -> None:
    with attacker.world.served(f"{name}-next") as following, following.opened:
        opened = []
        for _ in range(MOST_CONNECTIONS + 100):
            plain = socket.create_connection(("127.0.0.1", attacker.port), timeout=WITHIN_S)
            attacker.opened.push(plain)
            opened.append(plain)
        assert following.http().get("/version").status_code == 200
        for plain in opened:
            plain.close()

    def again() -> None:
        try:
            assert attacker.http().get("/version").status_code == 200
        except Exception as error:
            raise NotYet(str(error)) from error

    wait_for(again, timeout_s=WITHIN_S)


def test_connections_that_come_and_go_leave_nothing(attacker: Served) -> None:
    before = psutil.Process().num_fds()
    for number in range(300):
        connection = attacker.connect()
        connection.sendall(head(attacker, f"{maps()}?watch=1" if number % 2 else "/version") + b"\r\n")
        if number % 3:
            cut: Callable[[], object] = connection.close if number % 4 else connection.unwrap
            with contextlib.suppress(OSError, ssl.SSLError):
                cut()
        connection.close()

    def gone() -> None:
        left = psutil.Process().num_fds() - before
        # A few that are idle may be kept for who comes next.
        if left > 30:
            raise NotYet(f"{left} descriptors more than before")

    wait_for(gone, timeout_s=WITHIN_S)
