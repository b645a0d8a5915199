"""Workers, Unix sockets and TLS, as processes: `python -m sampan.app.serve`."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BODY = '{"instances":[[6.8,2.8,4.8,1.4]]}'
ANSWER = b'{"predictions":[1]}'
PREDICT = "/v1/models/model:predict"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what is true at last, whatever goes wrong meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = what()
        except (OSError, http.client.HTTPException):
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


def ask(connection: http.client.HTTPConnection, path: str, body: str | None = None) -> bytes:
    try:
        connection.request("POST" if body else "GET", path, body)
        answer = connection.getresponse()
        if answer.status != 200:  # loading: `until` asks again
            raise ConnectionError(f"answered {answer.status}")
        return answer.read()
    finally:
        connection.close()


@pytest.fixture
def start(iris_folder: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start servers of the tutorial's model; end them."""
    processes = []

    def starter(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "sampan.app.serve", f"--model_dir={iris_folder}"]
        process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield starter
    for process in processes:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def children(pid: int) -> set[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(word) for word in text.split()}


def counted(port: int, series: str = "request_predict_seconds_count") -> float:
    text = ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/metrics").decode()
    lines = [line for line in text.splitlines() if line.startswith(series)]
    return sum(float(line.split()[-1]) for line in lines)


def loads(port: int) -> float:
    return counted(port, 'kserve_model_load_total{result="success"')


def test_workers_share_the_port_are_replaced_when_killed_and_count_together(start) -> None:
    port = free_port()
    process = start(f"--http_port={port}", "--grpc_port=0", "--workers=2")

    def predict() -> bool:
        return (
            ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), PREDICT, BODY) == ANSWER
        )

    until(predict)
    workers = until(lambda: len(found := children(process.pid)) == 2 and found)
    for _ in range(9):
        assert predict()
    until(lambda: counted(port) >= 10)  # a worker's file is at most a second old
    before = counted(port)
    assert loads(port) == 1, "loaded once, before there were workers, and counted once"
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        until(lambda killed=worker: killed not in children(process.pid))
        until(lambda: len(children(process.pid)) == 2)
        until(predict)
    assert counted(port) >= before, "what has been shown is not taken back"
    assert loads(port) == 1
    last = children(process.pid)
    process.terminate()
    process.communicate(timeout=15)
    assert process.returncode == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in last)


def test_workers_end_with_their_parent(start) -> None:
    port = free_port()
    process = start(f"--http_port={port}", "--grpc_port=0", "--workers=2")
    until(lambda: ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/"))
    workers = until(lambda: len(found := children(process.pid)) == 2 and found)
    process.kill()
    until(lambda: not any(Path(f"/proc/{worker}/exe").exists() for worker in workers), 10)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def test_a_unix_socket_is_its_owners_alone_replaces_a_dead_one_and_goes_with_the_server(
    start, tmp_path
) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    process = start(f"--uds={path}")
    assert until(lambda: ask(UnixConnection(path), PREDICT, BODY)) == ANSWER
    assert path.stat().st_mode & 0o777 == 0o600
    second = start(f"--uds={path}")
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 3
    assert "another server listens on it" in errors
    assert ask(UnixConnection(path), PREDICT, BODY) == ANSWER
    process.terminate()
    process.communicate(timeout=15)
    assert not path.exists()


def write_certificate(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, plain))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))


def served_name(port: int) -> str:
    text = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    return x509.load_pem_x509_certificate(text.encode()).subject.rfc4514_string()


def test_tls_serves_a_renewed_certificate_without_a_restart_and_keeps_on_through_a_broken_one(
    start, tmp_path
) -> None:
    write_certificate(tmp_path, "one")
    port = free_port()
    start(
        f"--http_port={port}",
        "--grpc_port=0",
        f"--ssl_certfile={tmp_path / 'cert.pem'}",
        f"--ssl_keyfile={tmp_path / 'key.pem'}",
    )
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE

    def secure() -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=unchecked)

    assert until(lambda: ask(secure(), PREDICT, BODY)) == ANSWER
    assert served_name(port) == "CN=one"
    (tmp_path / "cert.pem").write_text("broken")
    time.sleep(2.5)
    assert served_name(port) == "CN=one"
    write_certificate(tmp_path, "two")
    until(lambda: served_name(port) == "CN=two", 10)
    assert ask(secure(), PREDICT, BODY) == ANSWER


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workers=0",), '"0" is no count'),
        (("--container_concurrency=-1",), '"-1" is no count'),
        (("--request_timeout=soon",), '"soon" is no time'),
        (("--preferred_batch_sizes=8,x",), '"x" is no count'),
        (("--ssl_keyfile=k.pem",), "give --ssl_certfile"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_it(start, arguments, words) -> None:
    process = start(*arguments)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert words in errors
