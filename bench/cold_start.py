"""From zero: the time from a request that finds no replica to its answer.

Goals: with the iris classifier p50 at most 250 ms and p99 at most 600 ms over 200 cold starts of an
otherwise idle machine, and at least 15 times sooner than starting KServe's server and asking it.
Models that take a while to load by themselves: at most 1.5 times that, and 150 ms. Ten services
woken at once; a hundred requests at one that sleeps start it once.
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from bench.iris import BODY, check, make_service, model_folder
from bench.peers import PEER_NAME, peer_server
from bench.processes import free_port, running, wait_first_answer
from bench.progress import note
from bench.row import Goal, Row, make_row
from bench.sampan_home import Daemon, daemon_up, find_home
from bench.setting import Setting

from bench import cold_frameworks

COLD_STARTS = 200
SERVICES = 20
PEER_STARTS = 3
AT_ONCE = 10
CROWD = 100
WINDOW_SECONDS = 6
"""The shortest stable window that Knative allows: falling asleep is not what is measured."""
ASLEEP_SECONDS = 120
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
REPLICAS = "serving.sampan.dev/replicas"


def one_by_one(setting: Setting) -> Iterator[Row]:
    """Each of 200 cold starts by itself, and the peer's start."""
    with _asleep(setting, SERVICES) as (daemon, names):
        took: list[float] = []
        while len(took) < COLD_STARTS:
            took += [_ask(daemon, name) for name in names[: COLD_STARTS - len(took)]]
            note(f"{len(took)}/{COLD_STARTS}: p50 {statistics.median(took):.0f} ms")
            _wait_asleep(daemon, names)
    peers = [_peer_start(setting) for _ in range(PEER_STARTS)]
    told = f"{COLD_STARTS} cold starts of {SERVICES} services in turn"
    yield make_row("cold start: p50", "ms", took, [], Goal(limit=250), note=told)
    late = sorted(took)[int(len(took) * 0.99) - 1]
    yield make_row("cold start: p99", "ms", [late], [], Goal(limit=600), note=told)
    words = f"{PEER_NAME}: its server started, and asked until it answers"
    yield make_row(
        "cold start against the peer's", "ms", took, peers, Goal(ratio=15), peer_is=words
    )


def at_once(setting: Setting) -> Iterator[Row]:
    """Ten services woken at once: until the last has answered."""
    with _asleep(setting, AT_ONCE) as (daemon, names):
        took = []
        for _ in range(setting.rounds):
            took.append(max(_together([(daemon, name) for name in names])))
            _wait_asleep(daemon, names)
    told = f"{AT_ONCE} services, until the last has answered"
    yield make_row("cold start: ten at once", "ms", took, [], Goal(), note=told)


def crowd(setting: Setting) -> Iterator[Row]:
    """A hundred requests at one service that sleeps: all answered by one start."""
    with _asleep(setting, 1) as (daemon, names):
        took, starts = [], []
        for _ in range(setting.rounds):
            took.append(max(_together([(daemon, names[0])] * CROWD)))
            starts.append(float(_replicas(daemon).get(names[0], 0)))
            _wait_asleep(daemon, names)
    told = f"{CROWD} requests, until the last is answered"
    yield make_row("cold start: a hundred requests at one", "ms", took, [], Goal(), note=told)
    told = f"{CROWD} requests at one service that sleeps"
    yield make_row("cold start: replicas started", "replicas", starts, [], Goal(limit=1), note=told)


def framework(setting: Setting, name: str) -> Iterator[Row]:
    """A model of a framework whose load takes a while, against that load by itself."""
    folder = cold_frameworks.train(setting, name)
    own = [cold_frameworks.own_load(setting, name, folder) for _ in range(setting.rounds)]
    service, chosen = f"zero-{name}", cold_frameworks.FRAMEWORKS[name]
    sleeper = _make_sleeper(service, folder, chosen.model_format)
    with daemon_up(find_home(setting)) as daemon:
        path = daemon.home.write(*chosen.objects, sleeper)
        daemon.home.sampan("apply", "-f", str(path))
        wait_first_answer(daemon.url(service), cold_frameworks.BODY, None)
        took = []
        for number in range(2 * setting.rounds):
            _wait_asleep(daemon, [service])
            took.append(_ask(daemon, service, cold_frameworks.BODY, _is_prediction))
            note(f"{name} {number + 1}/{2 * setting.rounds}: {took[-1]:.0f} ms")
    limit = 1.5 * statistics.median(own) + 150
    told = f"{len(took)} cold starts; the goal is 1.5 times the load by itself, and 150 ms"
    yield make_row(
        f"cold start: {name}", "ms", took, own, Goal(limit=round(limit)), note=told,
        peer_is="the model loaded and asked once where the framework is imported already",
    )  # fmt: skip


def _is_prediction(answer: bytes) -> None:
    if len(json.loads(answer)["predictions"]) != 1:
        raise RuntimeError(f"not one prediction: {answer[:200]!r}")


@contextmanager
def _asleep(setting: Setting, count: int) -> Iterator[tuple[Daemon, list[str]]]:
    """A daemon with so many services that have served once and sleep now."""
    model = model_folder(setting)
    with daemon_up(find_home(setting)) as daemon:
        names = [f"zero-{number}" for number in range(count)]
        for name in names:
            daemon.create(_make_sleeper(name, model))
        for name in names:
            check(wait_first_answer(daemon.url(name), BODY, None))
        _wait_asleep(daemon, names)
        yield daemon, names


def _make_sleeper(name: str, model, model_format: str = "sklearn") -> dict:
    service = make_service(name, model)
    service["spec"]["predictor"]["model"]["modelFormat"] = {"name": model_format}
    annotations = {"autoscaling.knative.dev/window": f"{WINDOW_SECONDS}s"}
    service["metadata"]["annotations"] = annotations
    service["spec"]["predictor"]["minReplicas"] = 0
    return service


def _wait_asleep(daemon: Daemon, names: list[str]) -> None:
    """Wait until nothing of any of them runs, and the machine has come to rest."""
    deadline = time.monotonic() + ASLEEP_SECONDS
    while time.monotonic() < deadline:
        found = json.loads(daemon.home.sampan("get", "isvc", "-o", "json"))["items"]
        told = {o["metadata"]["name"]: (o["status"].get("annotations") or {}) for o in found}
        awake = [name for name in names if told[name].get(REPLICAS) != "0 (idle)"]
        if not awake and not _replicas(daemon):
            time.sleep(0.5)
            return
        time.sleep(0.5)
    raise RuntimeError(f"awake after {ASLEEP_SECONDS} s without a request: {', '.join(awake)}")


def _replicas(daemon: Daemon) -> Counter[str]:
    """Return how many replicas each service has, those that are ending included."""
    pods = json.loads(daemon.home.sampan("get", "pods", "-o", "json"))["items"]
    return Counter(pod["metadata"]["labels"][SERVICE_LABEL] for pod in pods)


def _ask(
    daemon: Daemon, name: str, given: bytes = BODY, right: Callable[[bytes], None] = check
) -> float:
    """Return the milliseconds that one prediction takes, its connection included."""
    target = daemon.url(name).partition(f"127.0.0.1:{daemon.port}")[2]
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    try:
        connection.request("POST", target, given, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f'"{name}" answers {answer.status}: {body[:300]!r}')
    right(body)
    return took


def _together(asked: list[tuple[Daemon, str]]) -> list[float]:
    """Ask all of them at one moment; return what each took."""
    start = threading.Barrier(len(asked))

    def one(daemon: Daemon, name: str) -> float:
        start.wait()
        return _ask(daemon, name)

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda pair: one(*pair), asked))


def _peer_start(setting: Setting) -> float:
    port = free_port()
    command = peer_server(setting, model_folder(setting), port, free_port())
    began = time.perf_counter()
    with running(command, setting.cache / "peer.log") as server:
        url = f"http://127.0.0.1:{port}/v1/models/iris:predict"
        check(wait_first_answer(url, BODY, server))
        return (time.perf_counter() - began) * 1000


benches = {
    "one by one": one_by_one,
    "xgboost": partial(framework, name="xgboost"),
    "torch": partial(framework, name="torch"),
    "at once": at_once,
    "crowd": crowd,
}
