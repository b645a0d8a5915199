"""Numbers for autoscalers, asked of real HTTP servers: replicas' metrics, a Prometheus, GPUs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sampan.autoscaler.queries import Asked, Query, Readings
from sampan.machinery.clock import SystemClock
from sampan.plan.observed import ObservedReplica
from sampan.platforms.local.device_metrics import (
    Gpu,
    NvidiaMetrics,
    parse_gpus,
    parse_processes,
    select_gpus,
)
from sampan.platforms.local.metric_readings import MetricReadings
from sampan.platforms.local.replica_metrics import ReplicaMetrics

RUNNING = "vllm:num_requests_running"


@dataclass
class Server:
    """An HTTP server that answers by path; what it was asked is kept."""

    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[ThreadingHTTPServer] = []

    def start(**answers: tuple[int, str]) -> Server:
        server = Server({f"/{path}": answer for path, answer in answers.items()})

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                path = urlsplit(self.path).path
                status, body = server.answers.get(path, (404, "not found"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.port = http.server_address[1]
        running.append(http)
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


class Clock(SystemClock):
    """A clock that a test sets."""

    time = 1000.0

    def now(self) -> float:
        return self.time


def replica(server: Server, name: str = "opt-predictor-0") -> ObservedReplica:
    address = f"127.0.0.1:{server.port}"
    return ObservedReplica(
        name, "opt-predictor", "v1", running=True, ready=True, address=address, pid=os.getpid()
    )


def make(clock: Clock | None = None, program: str = "no-such-program") -> MetricReadings:
    replicas = ReplicaMetrics(NvidiaMetrics(program))
    return MetricReadings(replicas, clock or Clock(), ["localhost:8080"])


async def read(readings: MetricReadings, queries: list[Query], *servers: Server) -> Readings:
    replicas = tuple(replica(s, f"opt-predictor-{n}") for n, s in enumerate(servers))
    return await readings.read(Asked("team/opt-predictor", tuple(queries), replicas))


def gauge(value: float, name: str = RUNNING) -> tuple[int, str]:
    return 200, f'# TYPE {name} gauge\n{name}{{model_name="opt"}} {value}\n'


async def test_the_metrics_of_all_replicas_are_one_number(serve: Callable[..., Server]) -> None:
    query = Query(f"sum({RUNNING})", 2)
    first, second = serve(metrics=gauge(3)), serve(metrics=gauge(4))
    assert await read(make(), [query], first, second) == Readings({query: 7.0})
    assert first.asked == ["/metrics"]


async def test_metrics_at_a_port_of_their_own_are_read_there(
    serve: Callable[..., Server],
) -> None:
    requests, metrics = serve(metrics=gauge(3)), serve(metrics=gauge(8))
    ports = {("opt-predictor-0", 9090): metrics.port}
    source = ReplicaMetrics(NvidiaMetrics("none"), lambda name, port: ports.get((name, port), 0))
    readings, query = MetricReadings(source, Clock()), Query(f"sum({RUNNING})", 2)
    for port, told in ((9090, 8.0), (8002, 3.0), (0, 3.0)):  # 8002 is no port of this container
        asked = Asked("team/opt-predictor", (query,), (replica(requests),), port=port)
        assert (await readings.read(asked)).told == {query: told}


async def test_series_have_the_labels_of_a_cluster(serve: Callable[..., Server]) -> None:
    labels = 'namespace="team", deployment="opt-predictor", pod="opt-predictor-1"'
    query = Query(f"{RUNNING}{{{labels}}}", 2)
    told = await read(make(), [query], serve(metrics=gauge(3)), serve(metrics=gauge(4)))
    assert told == Readings({query: 4.0})


@pytest.mark.parametrize("server", ["", "http://localhost:8080", "http://localhost:8080/"])
async def test_the_gateway_s_own_address_means_the_replicas(
    serve: Callable[..., Server], server: str
) -> None:
    query = Query(f"sum({RUNNING})", 2, server)
    assert (await read(make(), [query], serve(metrics=gauge(3)))).told == {query: 3.0}


async def test_tokens_a_second_are_the_slope_of_a_counter(serve: Callable[..., Server]) -> None:
    name, clock = "vllm:generation_tokens_total", Clock()
    query = Query(f"sum(rate({name}[1m]))", 100)
    server, readings = serve(metrics=gauge(1000, name)), make(clock)
    assert (await read(readings, [query], server)).told == {query: 0.0}
    for value in (2500, 4000):
        clock.time += 15
        server.answers["/metrics"] = gauge(value, name)
        told = await read(readings, [query], server)
    assert told.told == {query: 100.0}
    # A replica that is there no more counts no more.
    fresh = serve(metrics=gauge(7, name))
    assert (await read(readings, [query], fresh)).told[query] != 100.0


UNREAD_REPLICAS: dict[str, tuple[str, dict[str, tuple[int, str]], str]] = {
    "a name misspelt": (
        "sum(vllm:num_requests_runing)", {"metrics": gauge(1)},
        f'no replica tells "vllm:num_requests_runing" yet; did you mean "{RUNNING}"',
    ),
    "no metrics there": (
        f"sum({RUNNING})", {}, 'it answers 404; where they are elsewhere, say so in the annotation',
    ),
    "several numbers": (
        "a_total",
        {"metrics": (200, 'a_total{b="1"} 1\na_total{b="2"} 2\n')}, "wrap it in sum(...)",
    ),
    "a query that is not read here": ("histogram_quantile(1, a)", {}, "cannot be read from"),
    "no GPU": ("sum(DCGM_FI_DEV_GPU_UTIL)", {}, 'this machine has no "nvidia-smi"'),
}  # fmt: skip


@pytest.mark.parametrize("row", UNREAD_REPLICAS)
async def test_what_replicas_do_not_tell_is_said(row: str, serve: Callable[..., Server]) -> None:
    text, answers, words = UNREAD_REPLICAS[row]
    told = await read(make(), [Query(text, 1)], serve(**answers))
    assert told.told == {}
    assert told.unread is not None
    assert told.unread.reason == "FailedGetPodsMetric"
    assert words in told.unread.message


async def test_a_replica_that_is_gone_is_said(serve: Callable[..., Server]) -> None:
    gone = Server(port=1)
    told = await read(make(), [Query(f"sum({RUNNING})", 1)], gone)
    assert told.unread is not None
    assert 'replica "opt-predictor-0" tells no metrics at /metrics' in told.unread.message


def prometheus(*values: float) -> tuple[int, str]:
    result = [{"metric": {}, "value": [1.0, str(value)]} for value in values]
    data = {"resultType": "vector", "result": result}
    return 200, json.dumps({"status": "success", "data": data})


async def test_a_prometheus_is_asked_the_query(serve: Callable[..., Server]) -> None:
    server = serve()
    server.answers["/prom/api/v1/query"] = prometheus(12.5)
    query = Query('sum(rate(tokens_total{model="opt"}[1m]))', 5, f"{server.url}/prom", "team")
    assert await read(make(), [query]) == Readings({query: 12.5})
    (asked,) = server.asked
    given = parse_qs(urlsplit(asked).query)
    assert given == {"query": [query.text], "namespace": ["team"]}


UNREAD_SERVERS: dict[str, tuple[tuple[int, str], str]] = {
    "it refuses the query": (
        (400, '{"status": "error", "error": "parse error at 3"}'), "it refuses the query: parse er",
    ),
    "it is no Prometheus": ((200, "<html>"), "it answers 200 and no JSON; check serverAddress"),
    "it sends elsewhere": ((302, ""), "it answers 302 and no JSON; check serverAddress"),
    "several numbers": (prometheus(1, 2), "wrap it in sum(...)"),
}  # fmt: skip


@pytest.mark.parametrize("row", UNREAD_SERVERS)
async def test_what_a_prometheus_does_not_tell_is_said(
    row: str, serve: Callable[..., Server]
) -> None:
    answer, words = UNREAD_SERVERS[row]
    server = serve()
    server.answers["/api/v1/query"] = answer
    query = Query("up", 1, server.url)
    told = await read(make(), [query])
    assert told.unread is not None
    assert told.unread.reason == "FailedGetExternalMetric"
    assert told.unread.message.startswith(f'"up" could not be read from "{server.url}": ')
    assert words in told.unread.message


NO_SERVER = {
    "nobody listens": ("http://127.0.0.1:1", "check serverAddress"),
    "no such name": ("http://prometheus.nowhere.invalid:9090", "check serverAddress"),
    "a cloud's credentials": ("http://169.254.169.254", "is a metadata address, which is not ask"),
    "no scheme": ("prometheus:9090", "write it as http://host:9090"),
    "no port": ("http://prometheus:port", "is no address"),
    "a password": ("http://me:secret@prometheus", "leave it out"),
}


@pytest.mark.parametrize("row", NO_SERVER)
async def test_a_server_that_cannot_be_asked_is_said(row: str) -> None:
    server, words = NO_SERVER[row]
    told = await read(make(), [Query("up", 1, server)])
    assert told.unread is not None
    assert words in told.unread.message
    assert told.told == {}


async def test_a_metric_that_is_announced_and_has_no_series_yet_is_nothing(
    serve: Callable[..., Server],
) -> None:
    query = Query(f"sum({RUNNING})", 1)
    server, readings = serve(metrics=(200, f"# TYPE {RUNNING} gauge\n")), make()
    for _ in range(3):
        assert await read(readings, [query], server) == Readings({query: 0.0})


async def test_without_a_gpu_the_other_metrics_are_told(serve: Callable[..., Server]) -> None:
    name, clock = "tokens_total", Clock()
    gpu, tokens = Query("sum(DCGM_FI_DEV_GPU_UTIL)", 50), Query(f"sum(increase({name}[1m]))", 1)
    server, readings = serve(metrics=gauge(5, name)), make(clock)
    for value in (5, 9):
        server.answers["/metrics"] = gauge(value, name)
        told = await read(readings, [gpu, tokens], server)
        clock.time += 15
    assert told.told == {tokens: 4.0}
    assert told.unread is not None
    assert "nvidia-smi" in told.unread.message


async def test_one_query_that_fails_leaves_the_others(serve: Callable[..., Server]) -> None:
    good, bad = Query(f"sum({RUNNING})", 1), Query("up", 1, "http://127.0.0.1:1")
    told = await read(make(), [bad, good], serve(metrics=gauge(3)))
    assert told.told == {good: 3.0}
    assert told.unread is not None


GPUS = """0, GPU-a, 90, 40000
1, GPU-b, 10, [N/A]
"""


def test_what_nvidia_smi_tells_is_read() -> None:
    assert parse_gpus(GPUS) == [Gpu("0", "GPU-a", 90, 40000), Gpu("1", "GPU-b", 10, None)]
    assert parse_gpus("No devices were found") == []
    assert parse_processes("12, GPU-a\n[N/A], GPU-b\n") == [(12, "GPU-a")]


def test_a_replica_has_the_devices_on_which_it_computes() -> None:
    gpus = parse_gpus(GPUS)
    trees = {10: {10, 12}, 20: {20}}
    found = select_gpus(trees, gpus, [(12, "GPU-a"), (99, "GPU-b")])
    assert {pid: [g.index for g in own] for pid, own in found.items()} == {10: ["0"], 20: []}
    # In a container nobody says which process is where.
    assert select_gpus(trees, gpus, []) == {10: gpus, 20: gpus}


@pytest.mark.parametrize(
    ("query", "expected"),
    [("sum(DCGM_FI_DEV_GPU_UTIL)", 90.0), ('DCGM_FI_DEV_FB_USED{gpu="0"}', 40000.0)],
)
async def test_use_of_a_gpu_is_told_by_the_names_of_dcgm(
    tmp_path: Path, serve: Callable[..., Server], query: str, expected: float
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\ncase $1 in *gpu=*) printf '" + GPUS.replace("\n", "\\n") + "';;\n"
        f"*) echo '{os.getpid()}, GPU-a';; esac\n"
    )
    program.chmod(0o755)
    asked = Query(query, 50)
    told = await read(make(program=str(program)), [asked], serve())
    assert told == Readings({asked: expected})


async def test_a_driver_that_fails_is_quoted(tmp_path: Path, serve: Callable[..., Server]) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVML: driver mismatch\nexit 18\n")
    program.chmod(0o755)
    told = await read(make(program=str(program)), [Query("DCGM_FI_DEV_GPU_UTIL", 50)], serve())
    assert told.unread is not None
    assert told.unread.message == '"nvidia-smi" says: NVML: driver mismatch'


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason='there is no "prometheus" on PATH')
async def test_a_real_prometheus_is_read(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        server, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        number = Query("vector(2) * 21", 1, server)
        while (told := await read(make(), [number])).unread:
            assert time.monotonic() < deadline, told.unread
            await asyncio.sleep(0.2)
        assert told.told == {number: 42.0}
        empty, wrong = Query("nobody_tells_this", 1, server), Query("sum(", 1, server)
        told = await read(make(), [empty, wrong])
        assert told.told == {empty: 0.0}
        assert told.unread is not None
        assert "it refuses the query: invalid parameter" in told.unread.message
    finally:
        process.terminate()
        await process.wait()
