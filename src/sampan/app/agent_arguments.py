"""The agent's arguments and variables, with KServe's names and defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sampan.agent.events import Origin
from sampan.agent.probing import Probe, parse_probes
from sampan.machinery.web_address import InvalidAddress, WebAddress, parse_address

PROBE = "SERVING_READINESS_PROBE"
CA_FOLDER = Path("/etc/tls/logger")
_ONLY_STORES = ("log_store_path", "log_batch_size", "log_batch_interval")
_NOT_HONOURED = {
    "log_store_format": "it is of stores, and events go to an address",
    "log_marshaller_url": "it is of stores, and events go to an address",
    "log_marshaller_port": "it is of stores, and events go to an address",
    "probe_period": "the component is asked when the agent is",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Parsed arguments. `log` is None where nothing is logged. Times are seconds."""

    host: str
    port: int
    component_port: int
    probes: tuple[Probe, ...]
    batch: tuple[int, float] | None
    pull: tuple[Path, Path] | None
    log: WebAddress | None
    log_mode: str
    log_workers: int
    log_origin: Origin
    log_ca: Path
    log_skip_verify: bool
    shutdown_delay: float
    grace_period: float
    warnings: tuple[str, ...]


def parse(argv: list[str]) -> Options:
    """Return the options; a mistake ends the process with 2, as `argparse` does."""
    parser = make_parser()
    known, rest = parser.parse_known_args(argv)
    given = vars(known)
    try:
        address = _sink(known.log_url)
        annotations = _pairs(known.metadata_annotations)
        probes = parse_probes(os.environ.get(PROBE), known.component_port)
    except ValueError as error:
        parser.error(str(error))
    warnings = [f'argument "{word}" is not known and has no effect' for word in rest]
    for name in (*_ONLY_STORES, *_NOT_HONOURED):
        if given[name] != parser.get_default(name):
            why = _NOT_HONOURED.get(name, "it is of stores, and events go to an address")
            warnings.append(f"--{name.replace('_', '-')} has no effect: {why}")
    pull = (known.config_dir, known.model_dir)
    return Options(
        host=known.host,
        port=known.port,
        component_port=known.component_port,
        probes=probes,
        batch=(known.max_batchsize, known.max_latency / 1000) if known.enable_batcher else None,
        pull=pull if known.enable_puller else None,
        log=address,
        log_mode=known.log_mode,
        log_workers=known.workers,
        log_origin=_origin(known, annotations),
        log_ca=CA_FOLDER / known.logger_ca_cert_file,
        log_skip_verify=known.logger_tls_skip_verify,
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
    add("--port", type=_port, default=9081, help="where to listen; 0: a free one")
    add("--component-port", type=_port, default=8080, help="of the component, on this machine")
    add("--probe-period", type=int, default=-1, help="has no effect")
    _add_puller(parser)
    _add_batcher(parser)
    _add_logger(parser)
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
    add("--max-batchsize", type=_positive, default=32, help="instances that make a batch")
    text = "milliseconds that the first of a batch waits"
    add("--max-latency", type=_positive, default=5000, help=text)


def _add_logger(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--log-url", default="", help="the address that gets events; empty: nothing is logged")
    add("--workers", type=_positive, default=5, help="events that are sent at once")
    text = "ce-source of the events; http://localhost:PORT/ where it is empty"
    add("--source-uri", default="", help=text)
    add("--log-mode", default="all", choices=("all", "request", "response"), help="what is logged")
    for name in ("inference-service", "namespace", "endpoint", "component"):
        add(f"--{name}", default="", help="said in each event")
    add("--metadata-headers", default="", help="names between commas, said in ce-metadata")
    text = "key=value between commas, said in ce-annotations"
    add("--metadata-annotations", default="", help=text)
    text = f"in {CA_FOLDER}: who is trusted besides the machine's"
    add("--logger-ca-cert-file", default="service-ca.crt", help=text)
    _add_switch(parser, "--logger-tls-skip-verify", "trust any sink, where the CA file is there")
    add("--log-store-path", default="", help="has no effect")
    add("--log-store-format", default="json", help="has no effect")
    add("--log-marshaller-url", default="", help="has no effect")
    add("--log-marshaller-port", default=9083, type=int, help="has no effect")
    add("--log-batch-size", default=1, type=int, help="has no effect")
    add("--log-batch-interval", default="0", help="has no effect")


def _add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """KServe's webhook writes `--switch false`, which Go's flags take for true; here it is no."""
    parser.add_argument(name, nargs="?", const=True, default=False, type=_boolean, help=text)


def _origin(known: argparse.Namespace, annotations: Mapping[str, str]) -> Origin:
    names = (name.strip().lower() for name in known.metadata_headers.split(","))
    return Origin(
        source=known.source_uri or f"http://localhost:{known.port}/",
        service=known.inference_service,
        namespace=known.namespace,
        component=known.component,
        endpoint=known.endpoint,
        metadata_headers=frozenset(filter(None, names)),
        annotations=annotations,
    )


def _sink(url: str) -> WebAddress | None:
    if not url:
        return None
    try:
        return parse_address(url)
    except InvalidAddress as error:
        raise ValueError(
            f"--log-url: {error}; events of stores (s3, gs, abfs) are KServe's agent's to write"
        ) from None


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise ValueError(f'--metadata-annotations holds "{part}"; write key=value')
        found[key] = value
    return found


def _boolean(text: str) -> bool:
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f'"{text}" is neither true nor false')
    return known[text.lower()]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1 on')
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port; use 0 to 65535')
    return number
