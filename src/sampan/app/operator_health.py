"""What the operator tells of itself: alive, ready, and numbers (Prometheus's text format)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from sampan.server.metrics_process import render_process
from sampan.wire.message import Reply, Request, Response

_TEXT = b"text/plain; charset=utf-8"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds."""


class Took:
    """How long something took, by a label: a histogram."""

    def __init__(self, name: str, text: str, label: str) -> None:
        self._name, self._text, self._label = name, text, label
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def note(self, value: str, seconds: float) -> None:
        """Take in one."""
        counts = self._counts.setdefault(value, [0] * (len(BUCKETS) + 1))
        for at, bound in enumerate(BUCKETS):
            counts[at] += seconds <= bound
        counts[-1] += 1
        self._sums[value] = self._sums.get(value, 0.0) + seconds

    def render(self) -> list[str]:
        """Return its lines."""
        lines = [f"# HELP {self._name} {self._text}", f"# TYPE {self._name} histogram"]
        for value, counts in sorted(self._counts.items()):
            label = f'{self._label}="{value}"'
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                lines.append(f'{self._name}_bucket{{{label},le="{bound}"}} {count}')
            lines.append(f"{self._name}_sum{{{label}}} {self._sums[value]!r}")
            lines.append(f"{self._name}_count{{{label}}} {counts[-1]}")
        return lines


Labels: TypeAlias = tuple[tuple[str, str], ...]


def render_counter(
    name: str, text: str, values: Mapping[Labels, float], kind: str = "counter"
) -> list[str]:
    """Return the lines of a counter or gauge by its labels."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in sorted(values.items()):
        told = ",".join(f'{key}="{each}"' for key, each in labels)
        lines.append(f"{name}{{{told}}} {value}" if told else f"{name} {value}")
    return lines


class Health:
    """Answers `/healthz`, `/readyz` and `/metrics`.

    `waits_for` tells what is missing before it is ready, "" for nothing; `measure` gives lines.
    """

    def __init__(self, waits_for: Callable[[], str], measure: Callable[[], Iterable[str]]) -> None:
        self._waits_for = waits_for
        self._measure = measure

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request of the wire."""
        path = urlsplit(request.target.decode("latin-1")).path
        if request.method not in {b"GET", b"HEAD"}:
            reply(Response(405, b"GET is answered here\n", _TEXT))
        elif path in {"/healthz", "/livez"}:
            reply(Response(200, b"ok\n", _TEXT))
        elif path == "/readyz":
            missing = self._waits_for()
            text = f"waits for {missing}\n" if missing else "ok\n"
            reply(Response(503 if missing else 200, text.encode(), _TEXT))
        elif path == "/metrics":
            lines = [*self._measure(), *render_process()]
            reply(Response(200, ("\n".join(lines) + "\n").encode(), _METRICS))
        else:
            reply(Response(404, b"/healthz, /readyz and /metrics are here\n", _TEXT))
