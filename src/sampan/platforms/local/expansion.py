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


MAX_VALUE = 128 * 1024
"""Letters of an expanded text: Linux takes no longer argument or variable (MAX_ARG_STRLEN)."""
MAX_GROWN = 2 * 1024**2
"""Letters that references may add to an environment: as much as a program is given (ARG_MAX).
Without a bound thirty variables that each name the one before twice would take all memory."""


class ExpansionTooLarge(ValueError):
    """References that make more of a text than a process can be given; the message says which."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is really run: every reference replaced."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with its references replaced; raise ExpansionTooLarge."""
    size = len(text)

    def replace(match: re.Match[str]) -> str:
        nonlocal size
        name = match.group(1)
        value = "$" if name is None else variables.get(name, match.group(0))
        size += len(value) - len(match.group(0))
        if size > MAX_VALUE:
            raise ExpansionTooLarge(
                f'the references of "{text[:80]}" make over {MAX_VALUE} letters of it; name less'
            )
        return value

    return _REFERENCE.sub(replace, text)


def expand_env(env: Mapping[str, str], ports: Mapping[int, int]) -> dict[str, str]:
    """Return the environment, each value seeing the ports and the variables before it.

    Raises ExpansionTooLarge.
    """
    variables = {f"{PORT_PREFIX}{port}": str(local) for port, local in ports.items()}
    grown = 0
    for name, value in env.items():
        variables[name] = expand(value, variables)
        grown += len(variables[name]) - len(value)
        if grown > MAX_GROWN:
            raise ExpansionTooLarge(
                f'the references up to variable "{name}" add over {MAX_GROWN} letters; name less'
            )
    return variables


def expand_command(
    argv: tuple[str, ...], env: Mapping[str, str], ports: Mapping[int, int]
) -> Command:
    """Return what to run for container ports mapped to loopback ports."""
    expanded = expand_env(env, ports)
    return Command(tuple(expand(word, expanded) for word in argv), expanded)
