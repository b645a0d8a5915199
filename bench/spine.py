"""The spine against a stock KServe server: import, start, second start, idle, requests a second.

Goals: a first answer sooner than the peer's from a warm environment cache; a second service of
the same runtime at least ten times sooner; importing costs under 100 ms of CPU; an idle daemon
with ten services under one percent of a core.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from bench.iris import BODY, check, make_service, model_folder
from bench.load import generator_note, requests_per_second
from bench.peers import PEER_NAME, peer_python, peer_server
from bench.processes import (
    cpu_of_command,
    free_port,
    running,
    tree_of,
    usage_of,
    wait_first_answer,
)
from bench.row import Goal, Row, make_row
from bench.sampan_home import Home, daemon_up, find_home, predict_url
from bench.setting import Setting

IDLE_SERVICES = 10
IDLE_SECONDS = 30
SETTLE_SECONDS = 5
CONNECTIONS = 16
LOAD_SECONDS = 4

HEAVY = ("numpy", "grpc", "pydantic", "httpx", "uvicorn", "sklearn", "typer", "rich")
_VERSION = "import sys; sys.argv[1:] = ['version']; from sampan.cli.main import main; main(); "
_LOADED = f"import sys; print(sum(name in sys.modules for name in {HEAVY!r}), file=sys.stderr)"


def importing(setting: Setting) -> Iterator[Row]:
    """CPU of `import sampan`, the interpreter's own start included."""
    ours = [setting.python, "-c", "import sampan"]
    peer = [peer_python(setting), "-c", "import kserve"]
    rounds = setting.alternate(lambda: cpu_of_command(ours), lambda: cpu_of_command(peer))
    yield make_row("import: CPU", "ms", *rounds, Goal(limit=100), peer_is="import kserve")
    yield _heavy("import: heavy modules loaded", setting, "import sampan; ")


def version(setting: Setting) -> Iterator[Row]:
    """CPU of `sampan version`."""
    command = find_home(setting).command("version")
    rounds = setting.alternate(lambda: cpu_of_command(command), None)
    yield make_row("sampan version: CPU", "ms", *rounds, Goal(limit=100))
    yield _heavy("sampan version: heavy modules loaded", setting, _VERSION)


def _heavy(name: str, setting: Setting, code: str) -> Row:
    command = [setting.python, "-c", code + _LOADED]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = float(ended.stderr.split()[-1])
    return make_row(name, "modules", [found], [], Goal(limit=0), note=f"of {', '.join(HEAVY)}")


def first_answer(setting: Setting) -> Iterator[Row]:
    """From the command to the first prediction, the environment's cache warm."""
    home = find_home(setting)
    _run_once(setting, home)  # fills the cache that the row calls warm
    rounds = setting.alternate(lambda: _run_once(setting, home), lambda: _peer_once(setting))
    yield make_row(
        "sampan run: start to first answer", "s", *rounds, Goal(ratio=1), peer_is=PEER_NAME
    )


def second_service(setting: Setting) -> Iterator[Row]:
    """From creating a second service of a runtime to its first prediction."""
    home, model = find_home(setting), model_folder(setting)
    with daemon_up(home) as daemon:
        daemon.create(make_service("first", model))
        check(wait_first_answer(daemon.url("first"), BODY, None))
        numbers = iter(range(1000))

        def once() -> float:
            name = f"second-{next(numbers)}"
            began = time.perf_counter()
            daemon.create(make_service(name, model))
            check(wait_first_answer(daemon.url(name), BODY, None))
            took = time.perf_counter() - began
            daemon.delete(name)
            return took

        rounds = setting.alternate(once, lambda: _peer_once(setting))
    yield make_row(
        "second service of a runtime: created to first answer",
        "s",
        *rounds,
        Goal(ratio=10),
        peer_is=PEER_NAME,
    )


def idle(setting: Setting) -> Iterator[Row]:
    """CPU and memory of a daemon whose ten services nobody asks."""
    model = model_folder(setting)
    with daemon_up(find_home(setting)) as daemon:
        names = [f"idle-{number}" for number in range(IDLE_SERVICES)]
        for name in names:
            daemon.create(make_service(name, model))
        for name in names:
            check(wait_first_answer(daemon.url(name), BODY, None))
        time.sleep(SETTLE_SECONDS)
        # What the daemon started may live in sessions of its own, but is still its descendant.
        everything = tree_of(daemon.pid)
        own, whole = usage_of([daemon.pid]), usage_of(everything)
        time.sleep(IDLE_SECONDS)
        own_after, whole_after = usage_of([daemon.pid]), usage_of(everything)
    percent = 100 * (own_after.cpu_seconds - own.cpu_seconds) / IDLE_SECONDS
    rest = 100 * (whole_after.cpu_seconds - whole.cpu_seconds) / IDLE_SECONDS - percent
    megabytes = own_after.resident / 1e6
    told = f"{IDLE_SERVICES} services, {IDLE_SECONDS} s; gateway and servers besides: {rest:.2f} %"
    yield make_row("idle daemon: CPU", "% of a core", [percent], [], Goal(limit=1), note=told)
    total = f"with gateway and {IDLE_SERVICES} servers: {whole_after.resident / 1e6:.0f} MB"
    yield make_row("idle daemon: resident memory", "MB", [megabytes], [], Goal(), note=total)


def v1_rate(setting: Setting) -> Iterator[Row]:
    """V1 predictions a second of one model server, without gateway on either side."""
    model = model_folder(setting)

    def ours(port: int) -> list[str]:
        serve = ("serve", "--model_name=iris", f"--model_dir={model}", f"--http_port={port}")
        return find_home(setting).command(*serve)

    def peer(port: int) -> list[str]:
        return peer_server(setting, model, port, free_port())

    rounds = setting.alternate(lambda: _rate(setting, ours), lambda: _rate(setting, peer))
    yield make_row(
        "V1 iris predictions, 16 connections",
        "requests/s",
        *rounds,
        Goal(ratio=10),
        peer_is=PEER_NAME,
        note=generator_note(),
    )


def _rate(setting: Setting, command) -> float:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/models/iris:predict"
    with running(command(port), setting.cache / "server.log") as server:
        check(wait_first_answer(url, BODY, server))
        requests_per_second(url, BODY, CONNECTIONS, 1)  # warm on both sides
        return requests_per_second(url, BODY, CONNECTIONS, LOAD_SECONDS)


def _run_once(setting: Setting, home: Home) -> float:
    port = free_port()
    file = home.write(make_service("iris", model_folder(setting)))
    command = home.command("run", str(file), "--port", str(port))
    began = time.perf_counter()
    with running(command, setting.cache / "run.log", **home.environment()) as server:
        check(wait_first_answer(predict_url(port, "iris"), BODY, server))
        return time.perf_counter() - began


def _peer_once(setting: Setting) -> float:
    port = free_port()
    command = peer_server(setting, model_folder(setting), port, free_port())
    began = time.perf_counter()
    with running(command, setting.cache / "peer.log") as server:
        url = f"http://127.0.0.1:{port}/v1/models/iris:predict"
        check(wait_first_answer(url, BODY, server))
        return time.perf_counter() - began


benches = {
    "import": importing,
    "version": version,
    "first answer": first_answer,
    "second service": second_service,
    "idle": idle,
    "V1 rate": v1_rate,
}
