"""Peers and agents that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agent.agent_process import Agent, Peer, doubled


@pytest.fixture
def peer() -> Iterator[Callable[..., tuple[Peer, int]]]:
    started: list[Peer] = []

    def start(answer: Any = doubled, context: Any = None) -> tuple[Peer, int]:
        one = Peer(answer)
        started.append(one)
        return one, one.start(context)

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    started: list[Agent] = []

    def start(*arguments: str, probe: str | None = "") -> Agent:
        one = Agent(*arguments, probe=probe, folder=tmp_path)
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
