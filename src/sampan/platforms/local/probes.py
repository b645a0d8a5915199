"""Kubernetes probes as values: their defaults, what is not honoured here, and their counting. Pure.

Defaults are Kubernetes's (API reference, "Probe v1 core"): delay 0, timeout 1, period 10, success
1, failure 3; a scheme of HTTP, a path of "/", a gRPC service of "".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class HttpGet:
    """GET a path; 200 to 399 passes. `port` is a container port."""

    port: int
    path: str = "/"
    https: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Connect to a container port."""

    port: int


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command in the replica's environment and folder; exit code 0 passes."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grpc:
    """Ask the gRPC health service; SERVING passes."""

    port: int
    service: str = ""


Action: TypeAlias = HttpGet | TcpSocket | Exec | Grpc


class ProbeKind(StrEnum):
    """What a probe decides: routing, restarting, or when the other two begin."""

    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe with its defaults filled in; times in seconds.

    `grace` is the probe's own terminationGracePeriodSeconds (None: the replica's).
    """

    action: Action
    delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    success: int = 1
    failure: int = 3
    grace: float | None = None


class BadProbe(ValueError):
    """A probe that cannot be run; the message says why."""


def make_probe(spec: Mapping[str, Any]) -> Probe:
    """Return the probe of its Kubernetes JSON; raise BadProbe."""
    grace = spec.get("terminationGracePeriodSeconds")
    return Probe(
        action=_make_action(spec),
        delay=float(spec.get("initialDelaySeconds") or 0),
        timeout=float(spec.get("timeoutSeconds") or 1),
        period=float(spec.get("periodSeconds") or 10),
        success=int(spec.get("successThreshold") or 1),
        failure=int(spec.get("failureThreshold") or 3),
        grace=None if grace is None else float(grace),
    )


def _make_action(spec: Mapping[str, Any]) -> Action:
    if http := spec.get("httpGet"):
        headers = tuple((h["name"], h.get("value", "")) for h in http.get("httpHeaders") or ())
        path = http.get("path") or "/"
        https = http.get("scheme", "HTTP").upper() == "HTTPS"
        return HttpGet(_port(http), path if path[0] == "/" else f"/{path}", https, headers)
    if tcp := spec.get("tcpSocket"):
        return TcpSocket(_port(tcp))
    if run := spec.get("exec"):
        return Exec(tuple(run.get("command") or ()))
    if grpc := spec.get("grpc"):
        return Grpc(_port(grpc), grpc.get("service") or "")
    raise BadProbe("the probe has no action; give it httpGet, tcpSocket, exec or grpc")


def _port(action: Mapping[str, Any]) -> int:
    port = action.get("port") or 0
    try:
        return int(str(port))
    except ValueError:
        raise BadProbe(
            f'the probe\'s port "{port}" is neither a number nor the name of one in "ports"; '
            "declare it there, or give the number"
        ) from None


@dataclass(frozen=True, slots=True)
class Tally:
    """Results in a row, and what they have decided so far (None: nothing yet)."""

    successes: int = 0
    failures: int = 0
    passing: bool | None = None


def count(tally: Tally, probe: Probe, *, passed: bool) -> Tally:
    """Return the tally after one more result: thresholds count results in a row."""
    if passed:
        successes = tally.successes + 1
        return Tally(successes, 0, True if successes >= probe.success else tally.passing)
    failures = tally.failures + 1
    return Tally(0, failures, False if failures >= probe.failure else tally.passing)


FIRST_WAIT = 0.005
"""Seconds between the first attempts while a replica starts; then growing by half."""

MAX_WAIT = 1.0
"""Readiness is asked at least this often, so that Ready is never true for long by mistake."""


def next_wait(kind: ProbeKind, probe: Probe, tally: Tally, waited: float) -> float:
    """Return how long to wait before the next attempt, given the wait before the last one.

    Liveness keeps to its period: a restart is dear, and the period is what its author allows.
    Readiness and startup begin quickly and slow down to a second, so that a replica is used the
    moment it can be. A readiness that begins to fail is asked again at once, so that its failures
    in a row take a second in all and not failureThreshold periods.
    """
    if kind is ProbeKind.LIVENESS:
        return probe.period
    steady = min(MAX_WAIT, probe.period)
    if kind is ProbeKind.READINESS and tally.passing:
        return steady / probe.failure if tally.failures else steady
    return min(steady, max(FIRST_WAIT, waited * 1.5))
