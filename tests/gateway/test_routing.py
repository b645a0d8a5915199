"""What a request meets: hosts, paths, headers, protocols and refusals, by a real Envoy."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from sampan.gateway.ask import Address, ask
from sampan.gateway.listener import Gateway
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute

MakeTable = Callable[..., RouteTable]
MakeIris = Callable[..., TableRoute]
MakeBackend = Callable[..., Awaitable]
HOST = "iris.default.localhost"


async def get(gateway: Gateway, path: str, host: str = HOST) -> tuple[int, str]:
    address = Address(port=gateway.settings.port)
    answer = await ask(address, path, host, 5)
    return answer.status, bytes(answer.body).decode()


class TestRouting:
    @pytest.mark.parametrize(
        ("path", "host", "reaches"),
        [
            ("/v1/models/iris?x=1", HOST, "/v1/models/iris?x=1"),
            ("/v1", f"{HOST}:9999", "/v1"),
            ("/v1", "IRIS.default.localhost", "/v1"),
            ("/v1", "iris.default.example.com", "/v1"),
            ("/serving/default/iris/v1/models", "localhost:8080", "/v1/models"),
            ("/serving/default/iris/v1", "127.0.0.1", "/v1"),
            ("/serving/default/iris/", "[::1]:80", "/"),
            ("/serving/default/iris", "localhost", "/"),
            ("/serving/default/iris?x=/1", "127.0.0.1", "/?x=/1"),
        ],
        ids=[
            "a host of the service, with path and query kept",
            "any port in the host",
            "upper case in the host",
            "the host under the domain",
            "the path form is stripped",
            "the path form by address",
            "the path form by IPv6 name",
            "the path form without a rest",
            "a query alone",
        ],
    )
    async def test_a_service_is_reached_by(
        self,
        gateway: Gateway,
        make_backend: MakeBackend,
        make_table: MakeTable,
        path: str,
        host: str,
        reaches: str,
    ) -> None:
        backend = await make_backend()
        assert await gateway.apply(make_table(backend)) == ()
        assert await get(gateway, path, host) == (200, f"a {reaches}")

    async def test_servers_see_kserves_headers_and_a_request_id_and_clients_cannot_set_them(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        backend = await make_backend()
        await gateway.apply(make_table(backend))
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"http://127.0.0.1:{gateway.settings.port}/x",
                headers={
                    "Host": HOST,
                    "X-Request-Id": "mine",
                    "kserve-isvc-name": "forged",
                    "x-envoy-retry-on": "forged",
                },
            )
        (head,) = backend.seen
        lines = head.decode().lower().split("\r\n")
        assert "kserve-isvc-name: iris" in lines
        assert "kserve-isvc-namespace: default" in lines
        assert not any("forged" in line for line in lines)
        assert answer.headers["x-request-id"] == "mine"
        assert "server" not in answer.headers

    async def test_what_is_not_there_gets_404_with_the_value_and_what_is(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        for path, host in (("/v1", "other.default.localhost"), ("/serving/a/b/", "localhost")):
            status, body = await get(gateway, path, host)
            error = json.loads(body)["error"]
            assert status == 404
            assert f'"{host}"' in error
            assert f'"{path}"' in error
            assert '"default/iris"' in error

    async def test_no_workload_gets_503_with_the_reason_and_when_to_retry(
        self, gateway: Gateway, make_iris: MakeIris
    ) -> None:
        await gateway.apply(RouteTable((make_iris(unavailable='model "a" loads'),)))
        answer = await ask(Address(port=gateway.settings.port), "/", HOST, 5)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert json.loads(bytes(answer.body)) == {"error": 'model "a" loads'}

    @pytest.mark.parametrize("dead", [False, True], ids=["no endpoint", "a dead endpoint"])
    async def test_no_endpoint_gets_503_as_json_and_when_to_retry(
        self,
        gateway: Gateway,
        make_backend: MakeBackend,
        make_table: MakeTable,
        dead: bool,
    ) -> None:
        backend = await make_backend()
        await backend.stop()
        await gateway.apply(make_table(*[backend] if dead else []))
        answer = await ask(Address(port=gateway.settings.port), "/v1/x", HOST, 5)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert '"GET /v1/x"' in json.loads(bytes(answer.body))["error"]

    async def test_a_silent_server_gets_a_timeout_in_words(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        backend = await make_backend()
        backend.delay = 3
        await gateway.apply(make_table(backend, timeout_seconds=1))
        began = time.monotonic()
        status, body = await get(gateway, "/slow")
        assert status == 504
        assert "timeout" in json.loads(body)["error"]
        assert time.monotonic() - began < 2

    async def test_weights_are_kept(
        self, gateway: Gateway, make_backend: MakeBackend, make_iris: MakeIris
    ) -> None:
        old, new = await make_backend("old"), await make_backend("new")
        clusters = tuple(
            Cluster(f"default/iris/{b.name}", (b.endpoint,), "/health") for b in (old, new)
        )
        route = make_iris(Share("default/iris/old", 90), Share("default/iris/new", 10))
        await gateway.apply(RouteTable((route,), clusters))
        counts: Counter[str] = Counter()
        async with httpx.AsyncClient() as client:
            for _ in range(600):
                url = f"http://127.0.0.1:{gateway.settings.port}/serving/default/iris/x"
                counts[(await client.get(url)).text.split()[0]] += 1
        # 600 draws at 10 %: mean 60, deviation 7.3; five deviations either side.
        assert 23 <= counts["new"] <= 97
        assert counts.total() == 600

    async def test_one_bad_service_is_left_out_and_the_rest_is_served(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        table = make_table(await make_backend())
        bad = replace(table.routes[0], name="other/iris", path_prefix="/serving/other/iris")
        refusals = await gateway.apply(replace(table, routes=(*table.routes, bad)))
        assert {refusal.name for refusal in refusals} == {"other/iris"}
        assert (await get(gateway, "/v1"))[0] == 200


class TestProtocols:
    async def test_http2_clients_reach_http1_servers(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        process = await asyncio.create_subprocess_exec(
            "curl",
            "--silent",
            "--http2-prior-knowledge",
            "--write-out",
            " %{http_version}",
            f"http://127.0.0.1:{gateway.settings.port}/serving/default/iris/v1",
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert out.decode() == "a /v1 2"

    async def test_http2_clusters_carry_grpc_with_its_trailers(
        self, gateway: Gateway, make_iris: MakeIris
    ) -> None:
        grpc = pytest.importorskip("grpc.aio", reason="grpcio is not installed")

        async def echo(request: bytes, _context: object) -> bytes:
            return b"echo " + request

        server = grpc.server()
        method = grpc_method_handlers(echo)
        server.add_generic_rpc_handlers((method,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        cluster = Cluster("default/iris/grpc", (Endpoint("127.0.0.1", port),), "", http2=True)
        route = make_iris(grpc_shares=(Share(cluster.name),))
        await gateway.apply(RouteTable((route,), (cluster,)))
        options = [("grpc.default_authority", HOST)]
        try:
            async with grpc.insecure_channel(f"127.0.0.1:{gateway.settings.port}", options) as ch:
                call = ch.unary_unary("/test.Echo/Echo")
                assert await call(b"x", timeout=5) == b"echo x"
        finally:
            await server.stop(None)

    async def test_connections_are_kept_between_requests(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.settings.port)
        for _ in range(3):
            writer.write(f"GET /k HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(4) == b"a /k"
        writer.close()
        await writer.wait_closed()

    async def test_events_of_a_stream_pass_when_they_are_made_and_outlast_the_timeout(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend(), timeout_seconds=1))
        url = f"http://127.0.0.1:{gateway.settings.port}/serving/default/iris/stream"
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            times = [(line, time.monotonic()) async for line in answer.aiter_lines() if line]
        assert [line for line, _ in times] == [f"data: {n}" for n in range(4)]
        gaps = [b - a for (_, a), (_, b) in itertools.pairwise(times)]
        # Made 0.4 s apart; 1.2 s in all, which is longer than the timeout of 1 s.
        assert min(gaps) > 0.2


def grpc_method_handlers(echo: Callable) -> object:
    import grpc

    handler = grpc.unary_unary_rpc_method_handler(echo)
    return grpc.method_handlers_generic_handler("test.Echo", {"Echo": handler})


class TestSizes:
    async def test_a_body_of_64_mib_passes_both_ways_and_is_not_kept_in_memory(
        self, gateway: Gateway, make_iris: MakeIris
    ) -> None:
        size = 64 * 1024 * 1024
        taken = 0

        async def give_and_take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0 if b"/health" in head else size
            while taken < length:
                taken += len(await reader.read(256 * 1024))
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n")
            writer.write(b"content-length: %d\r\n\r\n" % length)
            writer.write(bytes(length))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(give_and_take, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            cluster = Cluster("default/iris/v1", (Endpoint("127.0.0.1", port),), "/health")
            await gateway.apply(RouteTable((make_iris(Share(cluster.name)),), (cluster,)))
            url = f"http://127.0.0.1:{gateway.settings.port}/serving/default/iris/x"
            async with httpx.AsyncClient(timeout=20) as client:
                answer = await client.post(url, content=bytes(size))
            assert answer.status_code == 200
            assert (taken, len(answer.content)) == (size, size)
        assert resident(gateway.pid) < 150 * 1024 * 1024


def resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
