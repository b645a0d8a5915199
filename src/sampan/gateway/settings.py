"""How the gateway listens and watches: one frozen value. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Settings of the front door. Times are in seconds.

    `timeout_seconds` is how long a request without its own timeout may go without a byte in
    either direction (upstream's HTTPRoute gives 60). A streamed answer may last as long as it
    flows. A server that hangs is seen within `health_interval + health_timeout`.
    `workers` is the number of Envoy's threads (0: one a core, four at most). `door_host`: the
    address at which each route has a port of its own (`TableRoute.door`); then no route is found
    by hosts and paths ("": all are). It may be a pod's: who reaches it is the cluster's to say.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    timeout_seconds: int = 60
    health_interval: float = 0.5
    health_timeout: float = 1.0
    workers: int = 0
    access_log: bool = False
    door_host: str = ""


def validate_settings(settings: GatewaySettings) -> tuple[str, ...]:
    """Return every mistake in the settings as a sentence."""
    mistakes = [*_address_mistakes(settings.host)]
    if not 1 <= settings.port <= 65535:
        mistakes.append(
            f"gateway port {settings.port} is outside 1 to 65535; choose one with --port"
        )
    if settings.timeout_seconds < 0:
        mistakes.append(f"timeout of {settings.timeout_seconds} s is negative; 0 means no timeout")
    if settings.health_interval <= 0 or settings.health_timeout <= 0:
        mistakes.append(
            f"health interval {settings.health_interval} s and timeout {settings.health_timeout} s"
            " must be above 0"
        )
    if settings.workers < 0:
        mistakes.append(f"{settings.workers} workers is negative; 0 means one a core")
    return tuple(mistakes)


def _address_mistakes(host: str) -> tuple[str, ...]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (f'gateway host "{host}" is not an IP address; use "127.0.0.1"',)
    if not address.is_loopback:
        mistake = (
            f'gateway host "{host}" is reachable from other machines, and requests are not'
            ' authenticated; listen on "127.0.0.1"'
        )
        return (mistake,)
    return ()
