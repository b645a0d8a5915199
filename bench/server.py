"""One model server against its peers over REST: requests a second, tail, one connection, no model.

The same iris SVC on all sides, default flags, wrk as the generator, sides in turn. Peers are
KServe 0.21.0 (its SDK's server with a scikit-learn model) and MLServer 1.7.1 with its runtime.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.iris import BODY, check, model_folder
from bench.peers import PEER_NAME, peer_python, peer_server
from bench.processes import find_command, free_port, running, wait_first_answer
from bench.row import Goal, Row, make_row
from bench.setting import CannotMeasure, Setting

CONNECTIONS = 16
LOAD_SECONDS = 3
MLSERVER = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1")
MLSERVER_NAME = "mlserver 1.7.1 with mlserver-sklearn 1.7.1"
BARE = Path(__file__).with_name("peer_bare.py")
NOOP = Path(__file__).with_name("peer_noop.py")

V1 = "/v1/models/iris:predict"
V2 = "/v2/models/iris/infer"
BODY_V2 = json.dumps(
    {
        "inputs": [
            {
                "name": "input-0",
                "shape": [2, 4],
                "datatype": "FP64",
                "data": [6.8, 2.8, 4.8, 1.4, 6.0, 3.4, 4.5, 1.6],
            }
        ]
    }
).encode()

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What one run of wrk tells: requests a second, latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def load(url: str, body: bytes, connections: int, seconds: int = LOAD_SECONDS) -> Load:
    """Run wrk; raise when any request was not answered 2xx."""
    wrk = find_command("wrk")
    if wrk is None:
        raise CannotMeasure("wrk is not installed (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(body=body.decode()))
        base = [wrk, "-t1", f"-c{connections}", "--latency", "-s", str(script)]
        subprocess.run([*base, "-d1s", url], capture_output=True, check=True)  # warm
        command = [*base, f"-d{seconds}s", url]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
    if refused:
        raise RuntimeError(f"not every request was answered well: {refused[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if rate is None:
        raise RuntimeError(f"wrk says nothing that can be read: {out[-300:]}")
    return Load(float(rate[1]), _latency(out, 50), _latency(out, 99))


def _latency(out: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", out, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk tells no {percent}% latency: {out[-300:]}")
    return float(found[1]) * _UNITS[found[2]]


def against_kserve(setting: Setting) -> Iterator[Row]:
    """V1 and V2 JSON, the tail, and one connection."""
    with _up(setting, _ours(setting), _kserve(setting)) as (ours, peer):
        many = _rounds(setting, ours + V1, peer + V1, BODY, CONNECTIONS)
        rates = [[one.rate for one in side] for side in many]
        yield make_row(
            "V1 JSON, 16 connections", "requests/s", *rates, Goal(ratio=18), peer_is=PEER_NAME
        )
        tails = [[one.p99 for one in side] for side in many]
        yield make_row("V1 JSON, p99", "ms", *tails, Goal(ratio=12), peer_is=PEER_NAME)
        second = _rounds(setting, ours + V2, peer + V2, BODY_V2, CONNECTIONS)
        rates = [[one.rate for one in side] for side in second]
        yield make_row(
            "V2 JSON, 16 connections", "requests/s", *rates, Goal(ratio=20), peer_is=PEER_NAME
        )
        single = _rounds(setting, ours + V1, peer + V1, BODY, 1)
        middles = [[one.p50 for one in side] for side in single]
        yield make_row(
            "V1 JSON, 1 connection, p50", "ms", *middles, Goal(ratio=1 / 0.45), peer_is=PEER_NAME
        )


def against_mlserver(setting: Setting) -> Iterator[Row]:
    """V2 JSON."""
    with _up(setting, _ours(setting), _mlserver(setting), path=V2, body=BODY_V2) as (ours, peer):
        both = _rounds(setting, ours + V2, peer + V2, BODY_V2, CONNECTIONS)
        rates = [[one.rate for one in side] for side in both]
        yield make_row(
            "V2 JSON, 16 connections, against mlserver",
            "requests/s",
            *rates,
            Goal(ratio=18),
            peer_is=MLSERVER_NAME,
        )


def against_bare(setting: Setting) -> Iterator[Row]:
    """A model that does nothing, against a protocol that parses and answers the same JSON."""

    def ours(port: int) -> list[str]:
        return [setting.python, str(NOOP), str(port)]

    def bare(port: int) -> list[str]:
        return [setting.python, str(BARE), str(port)]

    with _up(setting, ours, bare, checked=False) as (one, other):
        both = _rounds(setting, one + V1, other + V1, BODY, CONNECTIONS)
        rates = [[load.rate for load in side] for side in both]
        yield make_row(
            "no-op model, V1, against a bare protocol",
            "requests/s",
            *rates,
            Goal(ratio=0.6),
            peer_is="an asyncio protocol on llhttp and orjson (bench/peer_bare.py)",
        )


def _rounds(
    setting: Setting, ours: str, peer: str, body: bytes, connections: int
) -> tuple[list[Load], list[Load]]:
    """Return rounds of both sides, taken in turn."""
    mine: list[Load] = []
    theirs: list[Load] = []

    def keep(kept: list[Load], url: str) -> Callable[[], float]:
        def measure() -> float:
            kept.append(load(url, body, connections))
            return kept[-1].rate

        return measure

    setting.alternate(keep(mine, ours), keep(theirs, peer))
    return mine, theirs


class _up(ExitStack):  # noqa: N801  # reads as a verb where it is used
    """Both servers, running and answering; gives their addresses."""

    def __init__(  # two sides and what to ask them
        self,
        setting: Setting,
        *commands: Callable[[int], Sequence[str]],
        path: str = V1,
        body: bytes = BODY,
        checked: bool = True,
    ) -> None:
        super().__init__()
        self._setting, self._commands = setting, commands
        self._path, self._body, self._checked = path, body, checked

    def __enter__(self) -> tuple[str, ...]:  # type: ignore[override]  # addresses, not the stack
        super().__enter__()
        return tuple(self._start(command) for command in self._commands)

    def _start(self, command: Callable[[int], Sequence[str]]) -> str:
        port = free_port()
        log = self._setting.cache / f"server-{port}.log"
        server = self.enter_context(running(command(port), log))
        address = f"http://127.0.0.1:{port}"
        answer = wait_first_answer(address + self._path, self._body, server)
        if self._checked and self._path == V1:
            check(answer)
        log.unlink(missing_ok=True)
        return address


def _ours(setting: Setting) -> Callable[[int], list[str]]:
    model = model_folder(setting)
    program = [setting.python, "-m", "sampan.app.serve", "--grpc_port=0"]
    return lambda port: [
        *program,
        "--model_name=iris",
        f"--model_dir={model}",
        f"--http_port={port}",
    ]


def _kserve(setting: Setting) -> Callable[[int], list[str]]:
    model = model_folder(setting)
    return lambda port: peer_server(setting, model, port, free_port())


def _mlserver(setting: Setting) -> Callable[[int], list[str]]:
    python = Path(peer_python(setting, MLSERVER))
    source = model_folder(setting) / "model.joblib"

    def command(port: int) -> list[str]:
        folder = setting.cache / "mlserver-iris"
        folder.mkdir(exist_ok=True)
        settings = {
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "host": "127.0.0.1",
        }
        model = {
            "name": "iris",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(source)},
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        return [str(python.with_name("mlserver")), "start", str(folder)]

    return command


benches = {
    "kserve": against_kserve,
    "mlserver": against_mlserver,
    "bare": against_bare,
}
