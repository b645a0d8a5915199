"""The way in: our Envoy with a thousand services against an Envoy that has one static route.

Goals, warm and before the same backend: requests a second at least 0.9 of the static one's, p50 at
most 1.15 times its own; memory at 1,000 routes at most twice that at one; a changed route live
within 100 ms at p99, with nothing lost on the others; and Knative's published bar for a handler of
100 ms at a thousand requests a second, p95 at most 110 ms, through warm routes and held ones.

Behind it stands our own wire with a constant answer. An Envoy that answers by itself is no backend:
it answers before it has read the body of a request, and then closes the connection, so that each
request opens one.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bench.ask import Ask
from bench.processes import free_port, guarded, running, usage_of, wait_first_answer
from bench.progress import note
from bench.row import Goal, Row, make_row
from bench.setting import Setting
from bench.wrk import Load, run_wrk

from bench import peer_envoy
from sampan.activator.activator import Activator, World
from sampan.activator.listener import serve
from sampan.gateway.envoy import envoy_binary
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute

ROUTES = 1000
CONNECTIONS = 16
SECONDS = 3
CHANGES = 200
SIZES = 32, 64
ANSWERS = dict(zip(("first", "second"), SIZES, strict=True))
"""How many bytes the two answer between which the last route moves."""
HANDLER_MS = 100
HANDLER_CONNECTIONS = 100  # of 100 ms each: a thousand requests a second
PEER = "Envoy with one static route before the same backend"


def warm(setting: Setting) -> Iterator[Row]:
    """Requests a second and p50, with as many routes as a busy machine has."""
    with _Stage(setting) as stage:
        backend, peer = stage.constant(SIZES[0]), free_port()
        stage.envoy(peer_envoy.static_route(peer, backend), peer)
        loads = asyncio.run(_load_both(setting, _table(backend, backend), peer))
    ours, theirs = loads
    told = f"{ROUTES} routes, statistics and the hold filter; {CONNECTIONS} connections"
    rates = [[load.rate for load in side] for side in loads]
    yield make_row("gateway: warm", "requests/s", *rates, Goal(ratio=0.9), peer_is=PEER, note=told)
    halves = ([load.p50 for load in ours], [load.p50 for load in theirs])
    yield make_row(
        "gateway: warm, p50", "ms", *halves, Goal(ratio=1 / 1.15), peer_is=PEER, note=told
    )


async def _load_both(setting: Setting, table: RouteTable, peer: int) -> list[list[Load]]:
    loads: list[list[Load]] = [[], []]
    async with _gateway(table) as gateway:
        for number in range(setting.rounds):
            for side, port in zip(loads, (gateway.settings.port, peer), strict=True):
                side.append(await _load(port, CONNECTIONS))
            note(f"round {number + 1}: ours {loads[0][-1].rate:.0f}, peer {loads[1][-1].rate:.0f}")
    return loads


def memory(setting: Setting) -> Iterator[Row]:
    """Envoy's resident memory with a thousand routes against one."""
    with _Stage(setting) as stage:
        backend = stage.constant(SIZES[0])
        table = _table(backend, backend)
        small = RouteTable(table.routes[:1], table.clusters[:1])
        ours, one = (asyncio.run(_resident(each)) for each in (table, small))
    told = f"our Envoy with one route; ours with {ROUTES} routes and as many clusters"
    yield make_row("gateway: memory", "MB", [ours], [one], Goal(ratio=0.5), peer_is=told)


async def _resident(table: RouteTable) -> float:
    async with _gateway(table) as gateway:
        await _load(gateway.settings.port, CONNECTIONS)
        return usage_of([gateway.pid]).resident / 1e6


def change(setting: Setting) -> Iterator[Row]:
    """How long until a changed route answers by its new backend, under load on another."""
    with _Stage(setting) as stage:
        first, second = (stage.constant(size) for size in SIZES)
        took = asyncio.run(_changes(_table(first, second)))
    late = sorted(took)[int(len(took) * 0.99) - 1]
    told = f"{CHANGES} changes among {ROUTES} routes; the load on another lost nothing"
    yield make_row("gateway: route change, p99", "ms", [late], [], Goal(limit=100), note=told)
    told = f"the same {CHANGES} changes"
    yield make_row("gateway: route change, p50", "ms", took, [], Goal(), note=told)


async def _changes(table: RouteTable) -> list[float]:
    """Move the last route to and fro; return the milliseconds until each move is seen."""
    took = []
    async with _gateway(table) as gateway:
        port = gateway.settings.port
        over = asyncio.Event()
        load = asyncio.create_task(_load_until(over, port))
        *others, moving = table.routes
        for number in range(CHANGES):
            name = ("second", "first")[number % 2]
            routes = (*others, replace(moving, shares=(Share(name),)))
            began = time.perf_counter()
            applied = asyncio.create_task(gateway.apply(replace(table, routes=routes)))
            await asyncio.to_thread(_until, port, moving.hosts[0], ANSWERS[name])
            took.append((time.perf_counter() - began) * 1000)
            await applied
        over.set()
        await load  # raises where an answer was missing
    return took


async def _load_until(over: asyncio.Event, port: int) -> None:
    while not over.is_set():
        await _load(port, CONNECTIONS)


def handler(setting: Setting) -> Iterator[Row]:
    """A handler of 100 ms by a hundred connections: what Knative publishes as its bar."""
    with _Stage(setting) as stage:
        table = _table(*[stage.constant(SIZES[0], HANDLER_MS)] * 2)
        sides = {"warm": table, "held": replace(table, routes=_hold(table.routes))}
        for name, each in sides.items():
            loads = asyncio.run(_load_handler(setting, each))
            rate = statistics.median(one.rate for one in loads)
            yield make_row(
                f"gateway: a handler of {HANDLER_MS} ms, {name}, p95",
                "ms",
                [one.p95 for one in loads],
                [],
                Goal(limit=110),
                note=f"{rate:.0f} requests/s of {HANDLER_CONNECTIONS} connections",
            )


def _hold(routes: tuple[TableRoute, ...]) -> tuple[TableRoute, ...]:
    """Return the routes with each request asked for at the activator first."""
    return tuple(
        replace(route, shares=tuple(replace(s, held=s.cluster) for s in route.shares))
        for route in routes
    )


async def _load_handler(setting: Setting, table: RouteTable) -> list[Load]:
    async with _gateway(table) as gateway:
        port = gateway.settings.port
        return [await _load(port, HANDLER_CONNECTIONS) for _ in range(setting.rounds)]


def _table(first: int, second: int) -> RouteTable:
    """Return routes of as many services, and a last one that can move between two clusters."""
    names = [f"bench/service-{number:04}" for number in range(ROUTES - 1)]
    routes = [_route(name, name) for name in names]
    places = [*((name, first) for name in names), ("first", first), ("second", second)]
    clusters = tuple(Cluster(name, (Endpoint("127.0.0.1", port),)) for name, port in places)
    return RouteTable((*routes, _route("bench/moving", "first")), clusters)


def _route(name: str, cluster: str) -> TableRoute:
    namespace, service = name.split("/")
    host = f"{service}.{namespace}.localhost"
    return TableRoute(name, (host,), f"/serving/{name}", (Share(cluster),))


@asynccontextmanager
async def _gateway(table: RouteTable) -> AsyncIterator[Gateway]:
    """The gateway with a table, as a daemon runs it."""
    folder = Path(tempfile.mkdtemp(prefix="gw"))
    gateway = Gateway(folder, GatewaySettings(port=free_port()))
    gateway.follower = activator = Activator(World(_nothing, gateway.active, _no_reason))
    try:
        await gateway.start()
        door = await serve(activator, gateway.activator_socket)
        with guarded(gateway.pid):
            refused = await gateway.apply(table)
            if refused:
                raise RuntimeError(f"routes were refused: {refused[0]}")
            yield gateway
            await gateway.close()
        await door.drain(0)
    finally:
        await gateway.close()
        shutil.rmtree(folder)


def _nothing(workload: str) -> None:
    """Wake nobody: all that is asked for is up."""


async def _no_reason(workload: str) -> str:
    return f'"{workload}" is up'


async def _load(port: int, connections: int) -> Load:
    """Load the first route."""
    route = _route("bench/service-0000", "")
    ask = Ask("/", b"{}", (("Content-Type", "application/json"), ("Host", route.hosts[0])))
    return await asyncio.to_thread(run_wrk, f"http://127.0.0.1:{port}", ask, connections, SECONDS)


def _until(port: int, host: str, size: int) -> None:
    """Ask a route until its answer has so many bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        connection.request("POST", "/", b"{}", {"Host": host})
        if len(connection.getresponse().read()) == size:
            connection.close()
            return
        time.sleep(0.004)  # nearer and the asking would take the time of what it waits for
    raise RuntimeError(f'"{host}" is not answered in {size} bytes within 10 s of its change')


class _Stage(ExitStack):
    """The Envoys and servers behind and beside the gateway."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._setting = setting
        self._count = 0

    def constant(self, size: int, milliseconds: int = 0) -> int:
        """Start a backend that answers with so many bytes, after a while; return its port."""
        port = free_port()
        words = map(str, (port, size, milliseconds))
        self.run([sys.executable, "-m", "bench.peer_constant", *words], port)
        return port

    def envoy(self, bootstrap: dict, port: int, workers: int = 2) -> None:
        """Start an Envoy."""
        path = self._setting.cache / f"envoy-{self._count}.json"
        path.write_text(json.dumps(bootstrap))
        flags = ["--disable-hot-restart", "--concurrency", str(workers), "--log-level", "warning"]
        self.run([str(envoy_binary()), "--config-path", str(path), *flags], port)

    def run(self, command: list[str], port: int) -> None:
        """Start a process and wait until it answers."""
        log = self._setting.cache / f"gateway-{self._count}.log"
        self._count += 1
        server = self.enter_context(running(command, log))
        wait_first_answer(f"http://127.0.0.1:{port}/", b"{}", server)


benches: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "warm": warm,
    "memory": memory,
    "change": change,
    "handler": handler,
}
