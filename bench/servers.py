"""The servers under measurement: how each side is started with a model, on ports of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.ask import Ask
from bench.iris import model_folder
from bench.peers import peer_python, peer_server
from bench.processes import free_port, running, wait_first_answer
from bench.setting import Setting

MLSERVER = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0")
"""With the uvloop of its time: its workers do not start on a later one (no current event loop)."""
KSERVE_FILE_NAME = "kserve 0.21.0 ModelServer with the same model file"
MODELS = Path(__file__).with_name("models")


@dataclass(frozen=True)
class Ports:
    """The ports that one server is given."""

    http: int
    grpc: int


Command: TypeAlias = Callable[[Ports], list[str]]
"""The command line of a server on these ports."""


@dataclass(frozen=True)
class Up:
    """A server that answers: its addresses, and the process at the root of its tree."""

    http: str
    grpc: str
    pid: int


@contextmanager
def serving(setting: Setting, ask: Ask, *commands: Command) -> Iterator[list[Up]]:
    """Start servers, and have each answer `ask` rightly before any is measured."""
    with ExitStack() as stack:
        logs = (setting.cache / f"server-{number}.log" for number in range(len(commands)))
        yield [
            _start(stack, log, ask, command) for log, command in zip(logs, commands, strict=True)
        ]


def _start(stack: ExitStack, log: Path, ask: Ask, command: Command) -> Up:
    ports = Ports(free_port(), free_port())
    server = stack.enter_context(running(command(ports), log))
    address = f"http://127.0.0.1:{ports.http}"
    answer = wait_first_answer(address + ask.path, ask.body, server, headers=ask.headers)
    ask.check(answer)
    return Up(address, f"127.0.0.1:{ports.grpc}", server.process.pid)


def ours_iris(setting: Setting) -> Command:
    """Return our server with the iris model, all else by default."""
    model = model_folder(setting)
    program = [setting.python, "-m", "sampan.app.serve", "--model_name=iris"]
    return lambda ports: [*program, f"--model_dir={model}", *_port_flags(ports)]


def kserve_iris(setting: Setting) -> Command:
    """Return KServe's server with the iris model, all else by default."""
    model = model_folder(setting)
    return lambda ports: peer_server(setting, model, ports.http, ports.grpc)


def mlserver_iris(setting: Setting) -> Command:
    """Return MLServer with its sklearn runtime and the iris model, all else by default."""
    python = Path(peer_python(setting, MLSERVER))
    source = model_folder(setting) / "model.joblib"
    model = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(source)},
    }

    def command(ports: Ports) -> list[str]:
        folder = setting.cache / "mlserver-iris"
        folder.mkdir(exist_ok=True)
        told = {"http_port": ports.http, "grpc_port": ports.grpc, "metrics_port": free_port()}
        (folder / "settings.json").write_text(json.dumps({**told, "host": "127.0.0.1"}))
        (folder / "model-settings.json").write_text(json.dumps(model))
        return [str(python.with_name("mlserver")), "start", str(folder)]

    return command


def ours_file(setting: Setting, name: str, *arguments: str) -> Command:
    """Return our server with a model file of `bench/models`, by KServe's SDK under our alias."""
    program = [setting.python, "-m", "sampan.kserve", str(MODELS / name)]
    return lambda ports: [*program, *_port_flags(ports), *arguments]


def kserve_file(setting: Setting, name: str, *arguments: str) -> Command:
    """Return KServe's server with the same model file."""
    program = [peer_python(setting), str(MODELS / name)]
    return lambda ports: [*program, *_port_flags(ports), *arguments]


def _port_flags(ports: Ports) -> list[str]:
    return [f"--http_port={ports.http}", f"--grpc_port={ports.grpc}"]
