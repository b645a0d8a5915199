"""The command line of `sampan activator`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sampan.app.cluster_arguments import add_cluster, parse_cluster, port_or
from sampan.platforms.kubernetes.serverless_slices import Doors


@dataclass(frozen=True, slots=True)
class Options:
    """`host` is the address of its doors and of its health. `folder` is the gateway's."""

    kubeconfig: Path | None
    context: str
    namespace: str
    identity: str
    host: str
    health_port: int
    front_port: int
    doors: Doors
    folder: Path
    envoy_beside: bool = False
    drain_seconds: float = 0.0


def parse(argv: list[str]) -> Options:
    """Return the options; exits with 2 on a mistake, as `argparse` does."""
    parsed = parse_cluster(make_parser(), argv)
    return Options(**parsed)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser: what is left out is filled in by `parse`."""
    parser = argparse.ArgumentParser("sampan activator", allow_abbrev=False, description=_ABOUT)
    add = parser.add_argument
    add_cluster(parser, "activators")
    add("--health-port", type=_port, default=8081, help="/healthz, /readyz and /metrics")
    add("--front-port", type=_front, default=8090, help="a port on loopback that Envoy needs")
    text = "the ports to give out to services, one each, as FIRST-LAST"
    add("--doors", type=_doors, default=Doors(), metavar="PORTS", help=text)
    text = "where Envoy's files are; its path may have 90 characters"
    add("--folder", type=Path, default=Path("/gateway"), help=text)
    text = "Envoy runs in a container of its own, by `sampan activator-envoy`"
    add("--envoy-beside", action="store_true", help=text)
    text = "when it is asked to end (SIGTERM), how long it goes on for those who are there"
    add("--drain-seconds", type=_seconds, default=0.0, metavar="SECONDS", help=text)
    return parser


_ABOUT = "Wake services of a cluster when they are asked, and let them sleep when they are not."


_port = port_or("a free one")


def _front(text: str) -> int:
    """Envoy is told it before it starts: none can be chosen for it."""
    port = _port(text)
    if not port:
        raise argparse.ArgumentTypeError("0 is no port; give 1 to 65535")
    return int(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of seconds from 0 to 3600')
    return seconds


def _doors(text: str) -> Doors:
    first, dash, last = text.partition("-")
    if not (dash and first.isdigit() and last.isdigit()):
        raise argparse.ArgumentTypeError(f'"{text}" is no range of ports; write it as 20000-32000')
    doors = Doors(int(first), int(last))
    if not 1 <= doors.first <= doors.last <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no range of ports between 1 and 65535')
    return doors
