"""Webhooks that cannot be asked, while the operator writes what they stand before.

The webhooks' places are real: a port at which nobody listens, and a server whose certificate has
run out.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.operator.admitting import Admitting, Unanswered
from tests.operator.conftest import CONFIG, RUNTIME, config_map
from tests.operator.played_cluster import is_ready, played_cluster, until
from tests.operator.test_process import free_port
from tests.operator.test_standard import SERVICES

from sampan.api.scheme import REGISTRY
from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.store import Key
from sampan.operator.finalizing import FINALIZER
from sampan.webhooks.configurations import MUTATING, VALIDATING, Place, make_configurations

Webhooks = Callable[[Path], AbstractAsyncContextManager[tuple[int, bytes]]]


@asynccontextmanager
async def nobody(folder: Path) -> AsyncIterator[tuple[int, bytes]]:
    """A port at which nobody listens, and a certificate."""
    yield free_port(), make_certificate(folder, ends=datetime.now(UTC) + timedelta(days=1))


@asynccontextmanager
async def out_of_date(folder: Path) -> AsyncIterator[tuple[int, bytes]]:
    """A server over TLS whose certificate has run out."""
    certificate = make_certificate(folder, ends=datetime.now(UTC) - timedelta(days=1))
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=shown)
    async with server:
        yield server.sockets[0].getsockname()[1], certificate


def make_certificate(folder: Path, ends: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhooks")])
    there = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(there, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.crt").write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "tls.key").write_bytes(secret)
    return pem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("webhooks", "says"),
    [
        pytest.param(nobody, "connect", id="nobody listens"),
        pytest.param(out_of_date, "certificate has expired", id="its certificate has run out"),
    ],
)
async def test_a_webhook_that_cannot_be_asked_is_waited_for(
    tmp_path: Path, make_service: Any, caplog: Any, webhooks: Webhooks, says: str
) -> None:
    async with (
        played_cluster(tmp_path, more=(MUTATING, VALIDATING)) as cluster,
        webhooks(tmp_path) as (port, certificate),
    ):
        await cluster.create(config_map(CONFIG), RUNTIME, make_service())
        place = Place(url=f"https://127.0.0.1:{port}")
        for made in make_configurations(REGISTRY, place):
            resource = MUTATING if made["kind"] == MUTATING.kind else VALIDATING
            for webhook in made["webhooks"]:
                webhook["clientConfig"]["caBundle"] = base64.b64encode(certificate).decode()
            await cluster.store.create(resource.id, made)
        admitting, unanswered = Admitting(cluster), []

        async def admit(request: Request) -> Reply | None:
            if request.method != "PUT" or not request.path.endswith("/inferenceservices/iris"):
                return None
            try:
                await admitting.admit(json.loads(request.body), "UPDATE", "inferenceservices")
            except Unanswered as error:
                unanswered.append(error.message)
                return make_error(error)
            return None

        cluster.door.fault = admit
        caplog.set_level(logging.WARNING, "sampan.operator.work")
        await cluster.start_operator()

        async def tried() -> bool:
            return len(unanswered) > 2

        await until(tried, 60)
        assert says in unanswered[0]
        assert "ml/iris waits" in caplog.text, "and no stack trace for each"
        assert "failed calling webhook" in caplog.text
        assert "Traceback" not in caplog.text
        for resource in (MUTATING, VALIDATING):  # somebody sees to it
            await cluster.store.delete(Key(resource.id, "", "sampan"))

        async def ready() -> Any:
            found = await cluster.get(SERVICES, "ml", "iris")
            return found if is_ready(found) else None

        service = await until(ready, 60)
        assert FINALIZER in service["metadata"]["finalizers"]
        assert len(await cluster.children("ml")) == 5
