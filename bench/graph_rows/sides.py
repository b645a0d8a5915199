"""The processes of a graph under measurement: its backends, and its router."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ask import Ask
from bench.processes import free_port, running, wait_first_answer
from bench.servers import Up
from bench.setting import Setting

ASK = Ask("/", b'{"instances":[[6.8,2.8,4.8,1.4]]}')
CONSTANT = Path(__file__).parent.with_name("peer_constant.py")


@contextmanager
def start_backend(setting: Setting, name: str, *words: str) -> Iterator[Up]:
    """Start a server of constant answers."""
    with start(setting, name, [setting.python, "-P", str(CONSTANT)], list(words)) as up:
        yield up


@contextmanager
def start_router(
    setting: Setting, kind: str, steps: list[dict[str, object]], body: bytes = ASK.body
) -> Iterator[Up]:
    """Start a router of one node."""
    text = json.dumps({"nodes": {"root": {"routerType": kind, "steps": steps}}})
    command = [setting.python, "-m", "sampan.app.route", f"--graph-json={text}"]
    command += ["--shutdown-delay=0", "--port"]
    with start(setting, f"graph-{kind.lower()}", command, [], body) as up:
        yield up


@contextmanager
def start(
    setting: Setting, name: str, command: list[str], words: list[str], body: bytes = ASK.body
) -> Iterator[Up]:
    """Start a server, its port after its command, and wait until it answers a body."""
    port = free_port()
    log = setting.cache / f"{name}.log"
    with running([*command, str(port), *words], log) as server:
        address = f"http://127.0.0.1:{port}"
        wait_first_answer(f"{address}/", body, server)
        yield Up(address, "", server.process.pid)
