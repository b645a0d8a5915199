"""What a step may be told beyond KServe's fields: how it is asked, and what happens if it fails.

Sampan's own. It stands in an annotation of the graph (`annotation`), so that KServe's controller
ignores it safely, and in the JSON that the router is told as `sampan` of a step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from sampan.machinery.go_duration import parse_duration
from sampan.router.body_map import Template, parse_body
from sampan.router.headers import OF_THE_CONNECTION

MOST_ATTEMPTS = 10
"""Calls of one request: what has failed so often is down."""

USUAL_BUDGET = 20
"""Percent of a step's requests that may be asked once more: a service that is down is not asked
many times as much for being down (as in Finagle and Envoy)."""

MIRROR_SECONDS = 30.0
"""How long a mirrored call may take where nothing says so: nobody waits for it, and it holds its
body."""

Target: TypeAlias = tuple[str, str]
"""`nodeName`, `serviceName` or `serviceUrl`, and its value."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a step is asked. Times are seconds, `budget` is a percentage."""

    timeout: float | None = None
    attempts: int = 1
    hedge: float | None = None
    budget: int = USUAL_BUDGET
    headers: tuple[tuple[bytes, bytes], ...] = ()
    path: str = ""
    body: Template | None = None
    mirror: bool = False
    default: bool = False
    stream: bool = False
    fallback: Target | None = None

    @property
    def repeats(self) -> bool:
        """Whether a request may lead to more than one call."""
        return self.attempts > 1 or self.hedge is not None


NO_OPTIONS = Options()

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TARGETS = ("nodeName", "serviceName", "serviceUrl")


def parse_options(told: Mapping[str, Any]) -> tuple[Options, tuple[tuple[str, str], ...]]:
    """Return the options of a step, and `(name, sentence)` for each that is not one."""
    values, problems = {}, []
    for name, value in told.items():
        read = READERS.get(name)
        if read is None:
            problems.append((name, f"is no option of a step; there is: {', '.join(READERS)}"))
            continue
        try:
            values[name] = read(value)
        except ValueError as error:
            problems.append((name, str(error)))
    return Options(**values), tuple(problems)


def _seconds(value: Any) -> float:
    try:
        seconds = parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        seconds = None
    if seconds is None or not 0.001 <= seconds <= 86400:
        raise ValueError(f'{_shown(value)} is no time from "1ms" to "24h"; write it as "500ms"')
    return seconds


def _count(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{_shown(value)} is no number from {least} to {most}")
        return value

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false")  # noqa: TRY004  # the user's value
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or not _TEXT.fullmatch(value):
        raise ValueError(f'{_shown(value)} is no path; write one that begins with "/"')
    if " " in value:
        raise ValueError(f'{_shown(value)} holds a blank; write it as "%20"')
    return value


def _headers(value: Any) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(_header_pairs(_object(value, "of headers")))


def _header_pairs(told: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in told.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is no name of a header')
        if name.lower().encode() in OF_THE_CONNECTION:
            raise ValueError(f'"{name}" belongs to the connection, and the router says it itself')
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            raise ValueError(f'the value of "{name}" is no text of one line: {_shown(value)}')
        yield name.lower().encode(), value.encode()


def _fallback(value: Any) -> Target:
    told = _object(value, "with nodeName, serviceName or serviceUrl")
    pairs = [(key, told[key]) for key in told if told[key]]
    if len(pairs) != 1 or pairs[0][0] not in _TARGETS or not isinstance(pairs[0][1], str):
        raise ValueError(f"{_shown(value)} holds not exactly one of {', '.join(_TARGETS)}")
    return pairs[0]


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{_shown(value)} is no object {what}")  # noqa: TRY004  # the user's value
    return value


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else f"{value!r}"
    return text if len(text) <= 80 else f"{text[:77]}..."


READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "timeout": _seconds,
        "attempts": _count(1, MOST_ATTEMPTS),
        "hedge": _seconds,
        "budget": _count(1, 100),
        "headers": _headers,
        "path": _path,
        "body": parse_body,
        "mirror": _flag,
        "default": _flag,
        "stream": _flag,
        "fallback": _fallback,
    }
)
"""Every option of a step by its name, and what reads its value."""
