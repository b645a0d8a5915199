"""Steps that are asked by https: whom the router trusts, and what it says of whom it does not."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.router.conftest import Town
from tests.router.graph_cases import IRIS, OK, node

from sampan.wire.listener import Listener


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate that signs itself, of 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a service")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return paths


@pytest.fixture
async def secure(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, Path]]:
    """A service by https, and the file of what signed its certificate, which nobody trusts yet."""
    certificate, key = write_certificate(tmp_path)
    (tmp_path / "nobody.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nobody.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = Listener(town.services.submit)
    sock = socket.create_server(("127.0.0.1", 0))
    await listener.listen_on(sock, context)
    yield f"https://127.0.0.1:{sock.getsockname()[1]}/one", certificate
    await listener.drain(0.0)


async def test_a_step_is_asked_by_https_where_its_certificate_is_trusted(
    town: Town,
    client: httpx.AsyncClient,
    secure: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    town.services.answers = {"one": (200, OK)}
    url = await town.graph({"root": node("Sequence", *[{"serviceUrl": step}] * 3)})
    for _ in range(2):
        answer = await client.post(url, json=IRIS)
        assert (answer.status_code, answer.json()) == (200, OK)
    assert len(town.services.asked) == 6


async def test_a_step_whose_certificate_nobody_signed_that_is_trusted_is_not_asked(
    town: Town, client: httpx.AsyncClient, secure: tuple[str, Path]
) -> None:
    step, _ = secure
    url = await town.graph({"root": node("Sequence", {"serviceUrl": step})})
    answer = await client.post(url, json=IRIS)
    assert answer.status_code == 500
    cause = answer.json()["cause"]
    assert "is not trusted" in cause
    assert "SSL_CERT_FILE" in cause
    assert town.services.asked == []


async def test_a_certificate_of_another_name_is_not_trusted(
    town: Town,
    client: httpx.AsyncClient,
    secure: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    other = step.replace("127.0.0.1", "localhost")
    url = await town.graph({"root": node("Sequence", {"serviceUrl": other})})
    answer = await client.post(url, json=IRIS)
    assert answer.status_code == 500
    assert "is not trusted" in answer.json()["cause"]
    assert town.services.asked == []


async def test_a_step_that_does_not_speak_tls_is_told(
    town: Town, client: httpx.AsyncClient
) -> None:
    plain = town.base.replace("http:", "https:")
    url = await town.graph({"root": node("Sequence", {"serviceUrl": f"{plain}/one"})})
    answer = await client.post(url, json=IRIS)
    assert answer.status_code == 500
    assert "does not speak TLS as it should" in answer.json()["cause"]
