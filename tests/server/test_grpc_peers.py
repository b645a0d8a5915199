"""gRPC with peers that have an HTTP/2 of their own: grpcio by TLS, grpclib, httpx, Envoy."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from tritonclient.grpc import service_pb2

from sampan.app.serve_socket import Address, Certificate
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.protocol.grpc import framing
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

SERVICE = "/inference.GRPCInferenceService/"
Answer = service_pb2.ModelInferResponse
LARGE = 100_000  # FP64 numbers: many DATA frames, several windows


@pytest.fixture
async def listener(echo) -> AsyncIterator[Listener]:
    """Return what serves the model "echo", not listening yet."""
    repository = ModelRepository()
    repository.update(echo)
    dataplane = DataPlane(repository, Workers(4))
    dataplane.started = True
    made = Listener(Rest(dataplane).submit, None, Grpc(dataplane))
    yield made
    await made.drain(0)


@pytest.fixture
async def port(listener) -> int:
    """Listen without TLS; return the port."""
    await listener.listen("127.0.0.1", 0)
    return int(listener.address[1])


@pytest.fixture
async def tls(listener, tmp_path) -> tuple[int, bytes]:
    """Listen with TLS as `sampan serve` does; return the port and the certificate to trust."""
    certificate, key = make_certificate()
    for name, text in (("cert.pem", certificate), ("key.pem", key)):
        (tmp_path / name).write_bytes(text)
    files = Address(ssl_certfile=str(tmp_path / "cert.pem"), ssl_keyfile=str(tmp_path / "key.pem"))
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    await listener.listen_on(bound, Certificate(files).context)
    return bound.getsockname()[1], certificate


def make_certificate() -> tuple[bytes, bytes]:
    """Return a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return (
        certificate.public_bytes(pem),
        key.private_bytes(pem, form, serialization.NoEncryption()),
    )


def ask(values: Any, request_id: str = "7") -> Any:
    """Return a request with these FP64 numbers, raw."""
    array = np.asarray(values, np.float64)
    message = service_pb2.ModelInferRequest(model_name="echo", id=request_id)
    message.inputs.add(name="x", datatype="FP64", shape=array.shape)
    message.raw_input_contents.append(array.tobytes())
    return message


def numbers(answer: Any) -> list[float]:
    """Return the numbers of an answer."""
    return np.frombuffer(answer.raw_output_contents[0], np.float64).tolist()  # type: ignore[no-any-return]


async def test_grpcio_speaks_by_tls(tls):
    port, certificate = tls
    trusted = grpc.ssl_channel_credentials(certificate)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", trusted) as channel:
        call = channel.unary_unary(
            SERVICE + "ModelInfer", service_pb2.ModelInferRequest.SerializeToString,
            Answer.FromString,
        )  # fmt: skip
        for values in ([1.5], np.arange(LARGE)):
            answer = await call(ask(values), timeout=30)
            assert numbers(answer) == np.asarray(values, float).tolist()


async def test_grpcio_that_does_not_trust_the_certificate_is_not_served(tls):
    other = grpc.ssl_channel_credentials(make_certificate()[0])
    async with grpc.aio.secure_channel(f"127.0.0.1:{tls[0]}", other) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            await channel.unary_unary(SERVICE + "ServerLive")(b"", timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_grpclib_calls_streams_and_is_refused(port):
    await speak_by_grpclib(port, None)


async def test_grpclib_does_so_by_tls(tls):
    port, certificate = tls
    context = ssl.create_default_context(cadata=certificate.decode())
    context.set_alpn_protocols(["h2"])
    await speak_by_grpclib(port, context)


async def speak_by_grpclib(port: int, context: ssl.SSLContext | None) -> None:
    """Call, be refused, and stream."""
    async with Channel("127.0.0.1", port, ssl=context) as channel:
        kinds = (service_pb2.ModelInferRequest, Answer)
        infer = UnaryUnaryMethod(channel, SERVICE + "ModelInfer", *kinds)
        for values in ([1.0, 2.0], np.arange(LARGE)):
            answer = await infer(ask(values), timeout=30)
            assert numbers(answer) == np.asarray(values, float).tolist()
        with pytest.raises(GRPCError) as raised:
            await infer(service_pb2.ModelInferRequest(model_name="nobody"), timeout=30)
        assert raised.value.status is Status.NOT_FOUND
        assert raised.value.message == "Model with name nobody does not exist."
        stream = StreamStreamMethod(
            channel, SERVICE + "ModelStreamInfer", kinds[0], service_pb2.ModelStreamInferResponse
        )
        answers = await stream([ask([n], str(n)) for n in range(5)], timeout=30)
        assert [one.infer_response.id for one in answers] == ["0", "1", "2", "3", "4"]


async def test_httpx_speaks_http2_by_tls(tls):
    port, certificate = tls
    context = ssl.create_default_context(cadata=certificate.decode())
    async with httpx.AsyncClient(http2=True, verify=context) as client:
        url = f"https://127.0.0.1:{port}"
        answers = await asyncio.gather(
            *(
                client.post(f"{url}/v1/models/echo:predict", json={"instances": [n]})
                for n in range(9)
            )
        )
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        assert [answer.json() for answer in answers] == [{"instances": [n]} for n in range(9)]


async def test_httpx_gets_a_grpc_answer_as_the_protocol_has_it(port):
    message = ask([3.0]).SerializeToString()
    headers = {"content-type": "application/grpc", "te": "trailers"}
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        url = f"http://127.0.0.1:{port}{SERVICE}ModelInfer"
        answer = await client.post(url, content=framing.pack(message), headers=headers)
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        assert answer.headers["content-type"] == "application/grpc"
        assert answer.headers["x-request-id"]
        told = framing.unpack_one(answer.content, b"", 1000)
        assert numbers(Answer.FromString(told)) == [3.0]
        refused = await client.post(url, content=b"", headers=headers)
        assert (refused.status_code, refused.headers["grpc-status"]) == (200, "3")


async def test_envoy_carries_calls_and_streams(port, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = GatewaySettings(port=probe.getsockname()[1], workers=1)
    gateway = Gateway(tmp_path / "gateway", settings)
    cluster = Cluster("default/echo/grpc", (Endpoint("127.0.0.1", port),), "", http2=True)
    route = TableRoute(
        name="default/echo",
        hosts=("echo.default.localhost",),
        path_prefix="/serving/default/echo",
        shares=(),
        grpc_shares=(Share(cluster.name),),
    )
    options = [("grpc.default_authority", "echo.default.localhost")]
    try:
        await gateway.start()
        await gateway.apply(RouteTable((route,), (cluster,)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.port}", options) as channel:
            coding = (service_pb2.ModelInferRequest.SerializeToString, Answer.FromString)
            infer = channel.unary_unary(SERVICE + "ModelInfer", *coding)
            asked = [ask([n]) for n in range(50)]
            answers = await asyncio.gather(*(infer(one, timeout=30) for one in asked))
            assert [numbers(one) for one in answers] == [[n] for n in range(50)]
            assert numbers(await infer(ask(np.arange(LARGE)), timeout=30))[-1] == LARGE - 1
            coding = (coding[0], service_pb2.ModelStreamInferResponse.FromString)
            stream = channel.stream_stream(SERVICE + "ModelStreamInfer", *coding)
            told = [one.infer_response async for one in stream(iter(asked[:5]), timeout=30)]
            assert [numbers(one) for one in told] == [[n] for n in range(5)]
    finally:
        await gateway.close()
