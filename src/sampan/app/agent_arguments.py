"""The agent's arguments and variables, with KServe's names and defaults."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from sampan.agent.probing import Probe, parse_probes
from sampan.app.agent_log_arguments import (
    LogOptions,
    add_log_arguments,
    describe_unheard,
    make_log_options,
)
from sampan.app.argument_types import boolean, port, positive

PROBE = "SERVING_READINESS_PROBE"


@dataclass(frozen=True, slots=True)
class Options:
    """Parsed arguments. `log` is None where nothing is logged. Times are seconds."""

    host: str
    port: int
    component_port: int
    probes: tuple[Probe, ...]
    batch: tuple[int, float] | None
    pull: tuple[Path, Path] | None
    log: LogOptions | None
    shutdown_delay: float
    grace_period: float
    warnings: tuple[str, ...]


def parse(argv: list[str]) -> Options:
    """Return the options; a mistake ends the process with 2, as `argparse` does."""
    parser = make_parser()
    known, rest = parser.parse_known_args(argv)
    try:
        log = make_log_options(known)
        probes = parse_probes(os.environ.get(PROBE), known.component_port)
    except ValueError as error:
        parser.error(str(error))
    warnings = [f'argument "{word}" is not known and has no effect' for word in rest]
    if known.probe_period != parser.get_default("probe_period"):
        warnings.append("--probe-period has no effect: the component is asked when the agent is")
    warnings += describe_unheard(known, vars(parser.parse_args([])))
    pull = (known.config_dir, known.model_dir)
    return Options(
        host=known.host,
        port=known.port,
        component_port=known.component_port,
        probes=probes,
        batch=(known.max_batchsize, known.max_latency / 1000) if known.enable_batcher else None,
        pull=pull if known.enable_puller else None,
        log=log,
        shutdown_delay=known.shutdown_delay,
        grace_period=known.grace_period,
        warnings=tuple(warnings),
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the agent's arguments."""
    about = "Stand before a model server: log its requests, batch them, pull its models."
    parser = argparse.ArgumentParser("sampan agent", description=about, allow_abbrev=False)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on; in a pod 0.0.0.0")
    add("--port", type=port, default=9081, help="where to listen; 0: a free one")
    add("--component-port", type=port, default=8080, help="of the component, on this machine")
    add("--probe-period", type=int, default=-1, help="has no effect")
    _add_puller(parser)
    _add_batcher(parser)
    add_log_arguments(parser)
    usual = 30.0 if "KUBERNETES_SERVICE_HOST" in os.environ else 0.0
    text = "seconds of being not ready before it closes connections; 30 in a pod, else 0"
    add("--shutdown-delay", type=float, default=usual, help=text)
    add("--grace-period", type=float, default=30.0, help="seconds for requests under way")
    return parser


def _add_puller(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_switch(parser, "--enable-puller", "pull models as a list says")
    add("--config-dir", type=Path, default=Path("/mnt/configs"), help="holds models.json")
    add("--model-dir", type=Path, default=Path("/mnt/models"), help="gets a folder a model")


def _add_batcher(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_switch(parser, "--enable-batcher", "join V1 predictions")
    add("--max-batchsize", type=positive, default=32, help="instances that make a batch")
    text = "milliseconds that the first of a batch waits"
    add("--max-latency", type=positive, default=5000, help=text)


def _add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument(name, nargs="?", const=True, default=False, type=boolean, help=text)
