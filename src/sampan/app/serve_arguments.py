"""The model server's arguments: KServe's names, so that its manifests and habits work.

As with KServe, an unknown argument does not stop the server; unlike there, it is named in a
warning, and so is one that is known but not honoured.
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sampan.app.serve_capacity import Capacity, add_capacity_arguments, take_capacity
from sampan.app.serve_extensions import add_extension_arguments
from sampan.app.serve_observation import add_arguments as add_observation
from sampan.app.serve_socket import Address, add_address_arguments, take_address
from sampan.app.targets import FORM, Target, parse_target
from sampan.runtimes import RUNTIMES, get_runtime, resolve
from sampan.runtimes.model_files import sub_folders
from sampan.runtimes.serving import Translated

_NOT_HONOURED = {
    "--max_threads": "gRPC calls run on the threads of --max_asyncio_workers",
    "--enable_latency_logging": "latencies are at /metrics, and in --access_log_format json",
    "--configure_logging": "logging is always configured; KSERVE_LOGLEVEL sets the level",
    "--log_config_file": "KSERVE_LOGLEVEL sets the level, --log_format the form",
    "--event-loop": "uvloop is used where it is installed",
    "--predictor_host": "this model predicts itself",
    "--protocol": "this model predicts itself",
    "--predictor_protocol": "this model predicts itself",
    "--predictor_use_ssl": "this model predicts itself",
    "--predictor_request_timeout_seconds": "this model predicts itself",
    "--predictor_request_retries": "this model predicts itself",
    "--enable_predictor_health_check": "this model predicts itself",
}
_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE = frozenset({"n", "no", "f", "false", "off", "0"})
TRUST_VARIABLE = "SAMPAN_TRUST"
LEVEL_VARIABLE = "KSERVE_LOGLEVEL"
_MESSAGE_BYTES = 8 * 1024 * 1024  # KServe's default for gRPC, both ways
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Options:
    """Parsed arguments."""

    model_name: str
    model_dir: str
    http_port: int
    host: str
    runtime: str
    max_asyncio_workers: int | None
    timeout_keep_alive: int
    grace_period: float
    max_body_bytes: int
    trust: bool
    allow_classes: str
    multi_model: bool
    log_level: str
    warnings: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    reload: bool = False
    capacity: Capacity = Capacity()
    address: Address = Address()
    access_log_format: str = ""
    log_format: str = "text"
    enable_server_timing: bool = False
    debug: bool = False
    enable_docs_url: bool = False
    app: str | None = None
    middleware: tuple[str, ...] = ()
    grpc_port: int | None = None
    """A port for gRPC beside the HTTP port, which speaks it too. 0: none; None: 8081 if free."""
    enable_grpc: bool = True
    grpc_max_receive_message_length: int = _MESSAGE_BYTES
    grpc_max_send_message_length: int = _MESSAGE_BYTES
    server_options: tuple[str, ...] = ()
    """NAME=VALUE each: options of the server that the runtime stands for."""
    nthread: int = 1
    """Threads of one prediction, where the runtime says that it takes them."""


def parse(argv: list[str], *, with_models: bool = False) -> Options:
    """Return the options; a wrong value ends the process with code 2 and a message (argparse).

    Words before the first argument are targets, and so are words of their form behind it.
    `with_models`: the caller brings its own, so that neither a folder nor a target is needed.
    """
    parser = _make_parser()
    try:
        argv, notes = _translate(argv)
    except ValueError as error:
        parser.error(str(error))
    first = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    known, rest = parser.parse_known_args(argv[first:])
    values = vars(known)
    try:
        values["targets"] = _targets([*argv[:first], *_late(rest)], known.model_name or "")
    except ValueError as error:
        parser.error(str(error))
    values["model_name"] = known.model_name or "model"
    if values["targets"] or with_models:
        values["runtime"] = known.runtime or ""
    elif not known.model_dir:
        parser.error(f"nothing to serve; give --model_dir FOLDER, or a model as {FORM}")
    else:
        values["runtime"] = known.runtime or select_runtime(known.model_dir)
        values["multi_model"] |= _is_multi_model(known.model_dir, values["runtime"])
    if known.reload and not values["targets"]:
        parser.error(f"--reload watches a model's file; give the model as {FORM}")
    values["middleware"] = tuple(values["middleware"] or ())
    values["server_options"] = tuple(values.pop("server_option") or ())
    values["capacity"] = take_capacity(values)
    runtime = values["runtime"]
    if values["capacity"].workers > 1 and runtime and not get_runtime(runtime).forks:
        parser.error(
            f'Workers cannot be greater than 1: a model of "{runtime}" does not outlive a fork; '
            "leave out --workers"
        )
    if values["capacity"].workers > 1 and known.nthread > 1:
        parser.error(
            f"--nthread={known.nthread} and --workers={values['capacity'].workers} exclude each "
            "other: threads of a prediction do not outlive a fork; leave out one of them"
        )
    if known.reload and values["capacity"].workers > 1:
        parser.error("--reload works in one process; leave out --workers")
    try:
        values["address"] = take_address(values)
        values["trust"] = known.trust or strtobool(os.environ.get(TRUST_VARIABLE, "false"))
        values["log_level"] = _log_level(os.environ.get(LEVEL_VARIABLE, "INFO"))
    except ValueError as error:
        parser.error(str(error))
    return Options(**values, warnings=(*notes, *_warnings(rest)))


def _translate(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the arguments of another server in ours, where the runtime stands for one."""
    named = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    named.add_argument("--runtime", default="")
    known, _ = named.parse_known_args(argv)
    if known.runtime not in RUNTIMES or not get_runtime(known.runtime).arguments:
        return argv, ()
    translated: Translated = resolve(get_runtime(known.runtime).arguments)(argv)
    return list(translated.argv), translated.warnings


def _log_level(value: str) -> str:
    level = value.upper()
    if level not in _LEVELS:
        raise ValueError(f'{LEVEL_VARIABLE} is "{value}"; use one of {", ".join(_LEVELS)}')
    return level


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sampan serve", usage=f"sampan serve [{FORM} ...] [OPTIONS]", allow_abbrev=False
    )
    add = parser.add_argument
    add("--model_name", help="the name in URLs; default model, or the file's name")
    add("--model_dir", default="", help="the folder that holds the model file")
    add("--http_port", type=_port, default=8080)
    add("--grpc_port", type=_port, help="default 8081; 0: none, gRPC is at the HTTP port too")
    add("--enable_grpc", type=_truth, default=True)
    add("--grpc_max_receive_message_length", type=_positive, default=_MESSAGE_BYTES)
    add("--grpc_max_send_message_length", type=_positive, default=_MESSAGE_BYTES)
    add("--enable_docs_url", type=_truth, default=False, help="a page at /docs to try models out")
    add_observation(parser)
    add_capacity_arguments(parser)
    add_address_arguments(parser)
    add_extension_arguments(parser)
    add("--host", default="127.0.0.1", help="0.0.0.0 serves other machines too, unauthenticated")
    add("--runtime", choices=sorted(RUNTIMES), help="default: by the model's files")
    add("--max_asyncio_workers", type=_positive, help="threads for predict; default CPUs + 4")
    add("--timeout-keep-alive", "--timeout_keep_alive", type=_positive, default=65)
    add("--grace_period", type=float, default=30.0, help="seconds to finish requests on SIGTERM")
    add("--max_body_bytes", type=_positive, default=64 * 1024 * 1024)
    add("--trust", action="store_true", help="load models that name any class: they may run code")
    add("--allow_classes", default="", help="file of further allowed names, module:class a line")
    add("--multi_model", action="store_true", help="each sub-folder is a model")
    add("--nthread", type=_positive, default=1, help="threads of one prediction; default 1")
    text = "an option of the server that the runtime stands for, as Triton's load-model"
    add("--server_option", action="append", type=_option, metavar="NAME=VALUE", help=text)
    add("--reload", action="store_true", help="serve an edited model file without a restart")
    return parser


def _late(rest: list[str]) -> list[str]:
    """Return the targets among what no argument took; not the value of one that is not known."""
    return [
        word
        for before, word in pairwise(["", *rest])
        if ".py:" in word and not word.startswith("-") and not re.match("-[^=]*$", before)
    ]


def _targets(words: list[str], name: str) -> tuple[Target, ...]:
    """Return the targets; ValueError where one is wrong, or two have one name."""
    if name and len(words) > 1:
        raise ValueError(f'--model_name "{name}" names one model; name each as {FORM}')
    targets = tuple(parse_target(word, name) for word in words)
    names = [target.name for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f'two models are named "{twice}"; name each as {FORM}')
    return targets


def select_runtime(model_dir: str) -> str:
    """Return the runtime whose extensions the folder's files have; the first one otherwise."""
    folder = Path(model_dir)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else [folder.name]
    for name in RUNTIMES:  # a whole name says more than an ending
        if any(file in get_runtime(name).extensions for file in names):
            return name
    for name in RUNTIMES:
        if any(file.endswith(get_runtime(name).extensions) for file in names):
            return name
    return next(iter(RUNTIMES))


def _is_multi_model(model_dir: str, runtime: str) -> bool:
    """Whether the folder holds no model file but folders (KServe's multi-model mode)."""
    folder = Path(model_dir)
    declared = get_runtime(runtime)
    if not declared.multi_model or declared.server or not sub_folders(folder):
        return False
    return not any(
        path.is_file() and path.name.endswith(get_runtime(runtime).extensions)
        for path in folder.iterdir()
    )


def _warnings(rest: list[str]) -> list[str]:
    """Return a sentence for each argument that is not honoured."""
    sentences: list[str] = []
    for word in rest:
        if word.startswith("-"):
            name = word.partition("=")[0]
            why = _NOT_HONOURED.get(name, "it is not known here")
            sentences.append(f'argument "{name}" is not honoured: {why}')
    return sentences


def strtobool(value: str) -> bool:
    """Return the truth that a word means (KServe's words); ValueError names the value."""
    word = value.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f'"{value}" is neither true nor false; write true or false')


def _truth(value: str) -> bool:
    try:
        return strtobool(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _option(value: str) -> str:
    if not value.partition("=")[1]:
        raise argparse.ArgumentTypeError(f'"{value}" sets nothing; write NAME=VALUE')
    return value


def _port(value: str) -> int:
    port = int(value) if value.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f'"{value}" is no port; give a number from 0 to 65535')
    return port


def _positive(value: str) -> int:
    number = int(value) if value.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{value}" is no count; give a whole number from 1')
    return number
