"""Kubernetes's `$(VAR)` references in `command`, `args` and `env`. Pure.

`$(NAME)` becomes the variable's value, `$$` becomes `$` (so `$$(NAME)` stays a literal `$(NAME)`),
and a reference to a variable that is not set stays as it is written (Kubernetes, "Define
dependent environment variables").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")

PORT_PREFIX = "SAMPAN_PORT_"
"""`$(SAMPAN_PORT_8080)` is the loopback port that stands for container port 8080."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is really run: every reference replaced."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with its references replaced."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def expand_env(env: Mapping[str, str], ports: Mapping[int, int]) -> dict[str, str]:
    """Return the environment, each value seeing the ports and the variables before it."""
    variables = {f"{PORT_PREFIX}{port}": str(local) for port, local in ports.items()}
    for name, value in env.items():
        variables[name] = expand(value, variables)
    return variables


def expand_command(
    argv: tuple[str, ...], env: Mapping[str, str], ports: Mapping[int, int]
) -> Command:
    """Return what to run for container ports mapped to loopback ports."""
    expanded = expand_env(env, ports)
    return Command(tuple(expand(word, expanded) for word in argv), expanded)
