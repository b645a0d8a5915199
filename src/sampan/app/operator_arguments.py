"""The command line of `sampan operator`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from sampan.app.cluster_arguments import add_cluster, parse_cluster, port_or


@dataclass(frozen=True, slots=True)
class Options:
    """`webhook_port` 0: no webhooks are served. `names`: what the certificate is for. `watched`:
    the namespaces that are looked after, none for all; with some no webhooks are served.
    `activator`: services may scale to zero without Knative.
    """

    kubeconfig: Path | None
    context: str
    namespace: str
    identity: str
    host: str
    webhook_port: int
    health_port: int
    names: tuple[str, ...]
    debug_port: int = 0
    watched: tuple[str, ...] = ()
    activator: bool = False


def parse(argv: list[str]) -> Options:
    """Return the options; exits with 2 on a mistake, as `argparse` does."""
    parsed = parse_cluster(make_parser(), argv)
    watched = tuple(dict.fromkeys(parsed.pop("watch_namespace")))
    if watched:
        parsed["webhook_port"] = 0
    return Options(names=tuple(parsed.pop("webhook_name")), watched=watched, **parsed)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser: what is left out is filled in by `parse`."""
    parser = argparse.ArgumentParser("sampan operator", allow_abbrev=False, description=_ABOUT)
    add = parser.add_argument
    add_cluster(parser, "operators")
    add("--webhook-port", type=_port, default=9443, help="0: none are served")
    add("--health-port", type=_port, default=8081, help="/healthz, /readyz and /metrics")
    add("--debug-port", type=_port, default=0, help="/debug/stacks, on loopback; 0: not served")
    add("--webhook-name", action="append", default=[], help="a further name for the certificate")
    text = "look after this namespace alone, with no right beyond it and no webhook; repeated"
    add("--watch-namespace", action="append", default=[], metavar="NAMESPACE", help=text)
    text = "services may be of the autoscaler class sampan: its activator is installed"
    add("--activator", action="store_true", help=text)
    return parser


_ABOUT = "Make InferenceServices and InferenceGraphs of a cluster run, as they are described."


_port = port_or("none")
