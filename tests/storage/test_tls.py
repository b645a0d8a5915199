"""Models over TLS: trusted authorities only, checked for the name that was asked for."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import os
import ssl
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sampan.storage.base import StorageError

CHILD = """
import asyncio, sys
from pathlib import Path
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.fetch import fetch
root = Path(sys.argv[2])
options = FetchOptions(root, root, allowed_private_hosts=("*",), reserve_bytes=0, attempts=1)
try:
    print(asyncio.run(fetch(sys.argv[1], options)).size)
except StorageError as error:
    print(error.reason, error.message)
"""


@pytest.fixture
async def tls_origin(origin, tmp_path):
    """The server over TLS at 127.0.0.1; `certificate` is the file that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "models")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    both = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    both.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    origin.certificate = tmp_path / "authority.pem"
    origin.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server = await asyncio.start_server(origin.handle, "127.0.0.1", 0, ssl=context)
    origin.port = server.sockets[0].getsockname()[1]
    yield origin
    server.close()


async def fetch_trusting(origin, host: str, cache) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        f"https://{host}:{origin.port}/m.bin",
        str(cache),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "SSL_CERT_FILE": str(origin.certificate)},
    )
    return (await child.communicate())[0].decode()


async def test_a_trusted_server_is_read(tls_origin, tmp_path):
    assert await fetch_trusting(tls_origin, "127.0.0.1", tmp_path / "c") == "5\n"


async def test_a_certificate_for_another_name_is_refused(tls_origin, tmp_path):
    told = await fetch_trusting(tls_origin, "localhost", tmp_path / "c")
    assert told.startswith("ConnectionFailed")
    assert "CERTIFICATE_VERIFY_FAILED" in told


async def test_an_unknown_authority_is_refused(tls_origin, bench):
    bench.set(attempts=1)
    with pytest.raises(StorageError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        await bench.fetch(f"https://127.0.0.1:{tls_origin.port}/m.bin")
    assert caught.value.reason == "ConnectionFailed"
    assert tls_origin.seen == []
