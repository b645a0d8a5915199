"""Single attempts against real servers, and replicas that real probes steer."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sampan.platforms.local import grpc_health
from sampan.platforms.local.checks import Target, check
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.probes import Exec, Grpc, HttpGet, TcpSocket, make_probe

Make = Callable[..., Any]
Answer = Callable[[bytes], bytes | None]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
    """Serve one answer a connection (None: keep silent); yield the target for port 8080."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = answer(await reader.read(4096))
        if body is None:
            await reader.read()
        else:
            writer.write(body)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Target({8080: port}, {"PATH": os.environ["PATH"], "A": "1"}, "/")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", "", id="200 passes"),
        pytest.param(b"HTTP/1.0 204\r\n\r\n", "", id="a status without words passes"),
        pytest.param(b"HTTP/1.1 302 Found\r\n\r\n", "", id="a redirect passes"),
        pytest.param(b"HTTP/1.1 400 No\r\n\r\n", "HTTP 400", id="400 does not"),
        pytest.param(b"HTTP/1.1 503 No\r\n\r\n", "HTTP 503", id="503 does not"),
        pytest.param(b"SSH-2.0-x\r\n", "the answer is not HTTP", id="another protocol"),
        pytest.param(b"", "the answer is not HTTP", id="a connection closed at once"),
        pytest.param(b"x" * 4000, "the answer is not HTTP", id="a line without end"),
        pytest.param(None, "no answer within 0.2 s", id="silence"),
    ],
)
async def test_http(answer: bytes | None, words: str) -> None:
    async with serving(lambda _: answer) as target:
        finding = await check(HttpGet(8080, "/ready"), target, 0.2)
        port = target.ports[8080]
    assert finding == (words and f'GET "http://127.0.0.1:{port}/ready": {words}')


async def test_http_sends_what_was_asked() -> None:
    seen = []
    async with serving(lambda data: seen.append(data) or b"HTTP/1.1 200 OK\r\n\r\n") as target:  # type: ignore[func-returns-value] # remembers
        assert await check(HttpGet(8080, "/a?b=c", headers=(("X-A", "1"),)), target, 1) == ""
    assert seen[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"\r\nX-A: 1\r\n" in seen[0]


async def test_a_probe_without_a_port_is_sent_where_requests_are() -> None:
    async with serving(lambda _: b"HTTP/1.1 200 OK\r\n\r\n") as target:
        probe = make_probe({"httpGet": {"path": "/v1/models/flowers"}})
        assert await check(probe.action, target, 2) == ""
        assert await check(make_probe({"httpGet": {"port": 0}}).action, target, 2) == ""


async def test_https_is_asked_without_knowing_its_certificate(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    async with serving(lambda _: b"HTTP/1.1 200 OK\r\n\r\n", context) as target:
        assert await check(HttpGet(8080, https=True), target, 2) == ""


def _certificate(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_tcp_passes_where_somebody_listens_only() -> None:
    async with serving(lambda _: b"") as target:
        assert await check(TcpSocket(8080), target, 1) == ""
    assert "Connection refused" in await check(TcpSocket(8080), target, 1)


async def test_a_port_that_is_not_declared_is_never_taken_literally() -> None:
    async with serving(lambda _: b"") as target:
        open_port = target.ports[8080]
        finding = await check(TcpSocket(open_port), target, 1)
    assert f'port "{open_port}" is not among the container ports "8080"' in finding


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("test $A = 1", "", id="exit code 0 in the replica's environment"),
        pytest.param("echo broken; exit 3", 'exit code 3, output "broken"', id="another code"),
        pytest.param("sleep 9 & wait", "no answer within 0.2 s", id="too slow"),
    ],
)
async def test_exec(script: str, words: str) -> None:
    target = Target({}, {"PATH": os.environ["PATH"], "A": "1"}, "/")
    finding = await check(Exec(("sh", "-c", script)), target, 0.2)
    assert finding == (words and f'command "sh -c {script}": {words}')


async def test_exec_of_nothing_known() -> None:
    assert "No such file" in await check(Exec(("no-such-check",)), Target({}, {}, "/"), 1)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


SETTINGS = _frame(4, 0, 0, b"\0\x03\0\0\0\x64")
HEADERS = _frame(1, 4, 1, b"\x88")
TRAILERS = _frame(1, 5, 1, b"\x88")


def _health(status: int) -> bytes:
    return _frame(0, 0, 1, b"\0\0\0\0\x02\x08" + bytes((status,)))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(SETTINGS + HEADERS + _health(1) + TRAILERS, "", id="SERVING passes"),
        pytest.param(SETTINGS + HEADERS + _health(2), "status NOT_SERVING", id="NOT_SERVING"),
        pytest.param(SETTINGS + TRAILERS, "no health service", id="no such service"),
        pytest.param(_frame(7, 0, 0, b"\0" * 8), "GOAWAY", id="a server that goes away"),
        pytest.param(b"HTTP/1.1 400 Bad\r\n\r\n", "closed without an answer", id="HTTP/1.1"),
    ],
)
async def test_grpc(answer: bytes, words: str) -> None:
    async with serving(lambda _: answer) as target:
        finding = await check(Grpc(8080), target, 1)
    assert words in finding
    assert bool(finding) == bool(words)


def test_a_grpc_request_names_its_service() -> None:
    assert grpc_health.make_request("iris").endswith(
        b"\0\0\x0b\0\x01\0\0\0\x01" + b"\0\0\0\0\x06" + b"\x0a\x04iris"
    )


SERVER = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        self.send_response(503 if os.path.exists("no-" + name) else 200)
        self.end_headers()
    def log_message(self, *words):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def serve(launcher: Launcher, make: Make, python: tuple[str, ...]) -> Callable[..., Awaitable[Any]]:
    """Start replica "a": a server that answers 503 on `/NAME` while the file `no-NAME` exists."""

    async def start(**probes: Any) -> Any:
        return await launcher.start(make("a", *python, SERVER, "$(SAMPAN_PORT_8080)", **probes))

    return start


def http_get(path: str, **fields: Any) -> dict[str, Any]:
    return {"httpGet": {"port": 8080, "path": path}, **fields}


async def test_ready_comes_soon_and_goes_within_a_second_or_so(
    launcher: Launcher, serve: Any, settled: Any, tmp_path: Path
) -> None:
    await serve(readiness=http_get("/ready", periodSeconds=10))
    await settled(launcher, "a", lambda s: s.ready)
    (tmp_path / "no-ready").touch()
    begun = time.monotonic()
    state = await settled(launcher, "a", lambda s: not s.ready)
    assert time.monotonic() - begun < 2.2
    assert state.running
    assert state.restarts == 0
    (tmp_path / "no-ready").unlink()
    await settled(launcher, "a", lambda s: s.ready)


async def test_a_replica_that_is_not_ready_yet_shows_why(
    launcher: Launcher, serve: Any, settled: Any, tmp_path: Path
) -> None:
    (tmp_path / "no-ready").touch()
    await serve(readiness=http_get("/ready"))
    state = await settled(launcher, "a", lambda s: "503" in s.load.message)
    assert state.load.reason == "NotReady"
    assert not state.ready


async def test_the_initial_delay_is_kept(launcher: Launcher, serve: Any, settled: Any) -> None:
    await serve(readiness=http_get("/ready", initialDelaySeconds=1))
    state = await settled(launcher, "a", lambda s: s.ready)
    assert 1.0 <= state.load.since - state.started_at < 1.5


async def test_lost_liveness_restarts_the_replica(
    launcher: Launcher, serve: Any, settled: Any, tmp_path: Path
) -> None:
    await serve(liveness=http_get("/live", periodSeconds=1, failureThreshold=1))
    await settled(launcher, "a", lambda s: s.ready)
    (tmp_path / "no-live").touch()
    state = await settled(launcher, "a", lambda s: s.last_exit)
    (tmp_path / "no-live").unlink()
    assert state.last_exit.reason == "Unhealthy"
    assert "the liveness probe is lost" in state.last_exit.message
    assert "HTTP 503" in state.last_exit.message
    await settled(launcher, "a", lambda s: s.restarts == 1 and s.ready)


async def test_readiness_and_liveness_wait_for_the_startup_probe(
    launcher: Launcher, serve: Any, settled: Any, tmp_path: Path
) -> None:
    (tmp_path / "no-start").touch()
    (tmp_path / "no-live").touch()
    await serve(
        startup=http_get("/start", periodSeconds=1, failureThreshold=60),
        readiness=http_get("/ready"),
        liveness=http_get("/live", periodSeconds=1, failureThreshold=1),
    )
    state = await settled(launcher, "a", lambda s: "503" in s.load.message)
    await asyncio.sleep(1.2)
    assert launcher.state("a").pid == state.pid
    assert not launcher.state("a").ready
    (tmp_path / "no-live").unlink()
    (tmp_path / "no-start").unlink()
    await settled(launcher, "a", lambda s: s.ready)


async def test_a_replica_that_does_not_start_up_in_time_is_restarted(
    launcher: Launcher, serve: Any, settled: Any, tmp_path: Path
) -> None:
    (tmp_path / "no-start").touch()
    await serve(startup=http_get("/start", periodSeconds=1, failureThreshold=1))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == "Unhealthy"
    assert "the startup probe is lost" in state.last_exit.message
    assert state.last_exit.finished_at - state.last_exit.started_at >= 1.0


async def test_a_probe_that_cannot_be_run_is_an_error_of_the_start(
    launcher: Launcher, serve: Any, settled: Any
) -> None:
    await serve(readiness={"httpGet": {"port": "http"}})
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == "StartError"
    assert '"http" is neither a number' in state.last_exit.message


async def test_an_attempt_is_cheap(record_property: Callable[[str, object], None]) -> None:
    """Measured with a server in the same process; half a millisecond for both leaves room."""
    async with serving(lambda _: b"HTTP/1.1 200 OK\r\n\r\n") as target:
        action = HttpGet(8080)
        await check(action, target, 1)
        begun = time.process_time()
        for _ in range(300):
            assert await check(action, target, 1) == ""
        spent = (time.process_time() - begun) / 300
    record_property("cpu_us_client_and_server", round(spent * 1e6))
    assert spent < 0.002
