"""Bytes on a real socket: what well-behaved, broken and hostile clients get."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time

import pytest

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory, running_server):
    with running_server(tmp_path_factory.mktemp("sockets")) as found:
        yield found


def connect(served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=5)


def talk(served, sent: bytes, *, until: bytes = b"") -> bytes:
    """Send bytes and return what comes back until the server closes (or `until` was seen)."""
    with connect(served) as sock:
        sock.sendall(sent)
        got = b""
        while not until or until not in got:
            piece = sock.recv(65536)
            if not piece:
                break
            got += piece
        return got


def request(method: str, path: str, token: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    lines += [*headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def test_plain_http_and_tls_are_served_on_one_port(served):
    assert talk(served, HEALTH, until=b"ok").startswith(b"HTTP/1.1 200 OK\r\n")
    context = ssl.create_default_context(cafile=served.folder / "tls" / "ca.crt")
    with connect(served) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
        sock.sendall(HEALTH)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_connection_is_kept_for_the_next_request(served):
    with connect(served) as sock:
        for _ in range(3):
            sock.sendall(HEALTH)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def test_requests_sent_at_once_are_answered_in_order(served):
    got = talk(served, HEALTH + HEALTH.replace(b"healthz", b"version"), until=b"gitVersion")
    assert got.index(b"ok") < got.index(b"gitVersion")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x00\x01\x02\x03\r\n\r\n", id="binary"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two Hosts"),
        pytest.param(b"GET /\r\n bad HTTP/1.1\r\nHost: a\r\n\r\n", id="a broken request line"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000, id="an endless header"),
    ],
)
def test_what_is_not_http_gets_a_400_and_the_connection_ends(served, sent):
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        got = talk(served, sent)
        assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 4"))
    assert talk(served, HEALTH, until=b"ok").startswith(b"HTTP/1.1 200")


def test_a_body_over_the_limit_is_refused_before_it_is_read(served):
    head = request("POST", "/api/v1/namespaces/default/configmaps", served.token)
    sent = head.replace(b"Content-Length: 0", b"Content-Length: 4000000")
    got = talk(served, sent, until=b"RequestEntityTooLarge")
    assert got.startswith(b"HTTP/1.1 413")
    assert b"3145728 bytes" in got


def test_a_chunked_body_over_the_limit_is_refused(served):
    head = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: localhost\r\n"
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        got = talk(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
        assert got.startswith(b"HTTP/1.1 413")


def test_head_is_answered_without_a_body(served):
    got = talk(served, request("HEAD", "/version", served.token))
    assert got.startswith(b"HTTP/1.1 200")
    assert got.endswith(b"\r\n\r\n")


def test_expect_100_continue_is_answered_before_the_body_is_sent(served):
    body = json.dumps({"metadata": {"name": "expected"}}).encode()
    path = "/api/v1/namespaces/default/configmaps"
    whole = request("POST", path, served.token, "Expect: 100-continue", body=body)
    with connect(served) as sock:
        sock.sendall(whole.removesuffix(body))
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert b"201" in sock.recv(65536)[:20]


def test_a_watch_ends_when_its_reader_leaves(served):
    path = "/api/v1/namespaces/default/pods?watch=true"
    with connect(served) as sock:
        sock.sendall(request("GET", path, served.token))
        sock.recv(4096)
        await_until(lambda: served.platform.followers == 1)
    await_until(lambda: served.platform.followers == 0)


def await_until(condition) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def test_a_stop_ends_watches_with_a_whole_answer_and_lets_idle_connections_go(
    running_server, tmp_path
):
    with running_server(tmp_path) as served:
        path = "/api/v1/namespaces/default/configmaps?watch=true"
        watching, idle = connect(served), connect(served)
        watching.sendall(request("GET", path, served.token))
        assert watching.recv(4096).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    rest = b""
    while piece := watching.recv(4096):
        rest += piece
    assert rest.endswith(b"0\r\n\r\n")
    assert idle.recv(1) == b""
    watching.close()
    idle.close()


def test_uvloop_serves_the_same(running_server, tmp_path):
    with running_server(tmp_path, uvloop=True) as served:
        test_plain_http_and_tls_are_served_on_one_port(served)
        test_a_watch_ends_when_its_reader_leaves(served)
