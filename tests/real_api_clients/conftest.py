"""Clients of others, unmodified, in an environment of their own, against a real `sampan up`.

Each program beside this file (`program_*.py`) is run by that environment's interpreter. It is a
row of steps, told one by one, so that a test can be about each.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.peers import peer_python
from bench.setting import CannotMeasure, Setting
from tests.e2e.conftest import (  # noqa: F401  # fixtures are found by their names
    Sampan,
    iris,
    operator,
    sampan,
)

CLIENTS = ("kserve==0.21.0", "kubernetes==35.0.0", "kopf==1.38.0")
"""Releases that work with each other: kubernetes 37 breaks kserve 0.21.0 and kopf by itself."""

HERE = Path(__file__).parent
Report = dict[str, str]
"""Step to its traceback, empty where it went well."""


def step_names(program: str) -> list[str]:
    """Return the names of a program's steps, in order."""
    module = ast.parse((HERE / program).read_text())
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions if any(_is_step(d) for d in f.decorator_list)]


def _is_step(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id == "step"


@pytest.fixture(scope="session")
def clients_python() -> str:
    """The interpreter that has the clients; built once, kept in the cache."""
    try:
        return peer_python(Setting(), CLIENTS)
    except CannotMeasure as why:
        pytest.skip(f"the clients are not on this machine: {why}")


@pytest.fixture(scope="module")
def run_program(
    clients_python: str,
    sampan: Sampan,  # noqa: F811  # the fixture imported above
) -> Callable[..., Report]:
    """Run a program against the daemon; return what became of each of its steps."""

    def run(program: str, *arguments: str) -> Report:
        done = subprocess.run(
            [clients_python, str(HERE / program), *arguments],
            env=sampan.env,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(line) for line in done.stdout.splitlines() if line[:1] == "[")

    return run
