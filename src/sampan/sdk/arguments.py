"""The command line of a model file: KServe's arguments, for `argparse`'s `parents=[parser]`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from sampan.app.serve_arguments import strtobool

DEFAULT_HTTP_PORT = 8080
DEFAULT_GRPC_PORT = 8081
MAX_GRPC_MESSAGE_LENGTH = 8388608

_NUMBERS: dict[str, int | None] = {
    "--http_port": DEFAULT_HTTP_PORT,
    "--grpc_port": DEFAULT_GRPC_PORT,
    "--workers": 1,
    "--max_threads": 4,
    "--max_asyncio_workers": None,
    "--timeout-keep-alive": 65,
    "--predictor_request_timeout_seconds": 600,
    "--predictor_request_retries": 0,
    "--grpc_max_send_message_length": MAX_GRPC_MESSAGE_LENGTH,
    "--grpc_max_receive_message_length": MAX_GRPC_MESSAGE_LENGTH,
}
_BOOLS = {
    "--enable_grpc": True,
    "--enable_docs_url": False,
    "--enable_latency_logging": True,
    "--configure_logging": True,
    "--predictor_use_ssl": False,
}
_TEXTS: dict[str, str | None] = {
    "--log_config_file": None,
    "--access_log_format": None,
    "--model_name": "model",
    "--predictor_host": None,
    "--ssl_certfile": None,
    "--ssl_keyfile": None,
    "--host": None,
}
_CHOICES = {
    "--event-loop": ("auto", "asyncio", "uvloop"),
    "--protocol": ("v1", "v2", "grpc-v2"),
    "--predictor_protocol": ("v1", "v2", "grpc-v2"),
}
PREDICTOR = frozenset(
    {
        "model_name",
        "configure_logging",
        "log_config_file",
        "protocol",
        "enable_predictor_health_check",
        "predictor_host",
        "predictor_protocol",
        "predictor_use_ssl",
        "predictor_request_timeout_seconds",
        "predictor_request_retries",
    }
)
"""Arguments that the model file or the SDK takes for itself: the server is not told of them."""


def get_http_port() -> int:
    """Return the port that the platform gives ($PORT, Knative's contract of containers), or 8080.

    ValueError for a value that is no port.
    """
    given = os.environ.get("PORT", "")
    if not given:
        return DEFAULT_HTTP_PORT
    if not given.isdecimal() or int(given) > 65535:
        raise ValueError(f'PORT is "{given}"; give a port number, or leave it unset')
    return int(given)


def get_grpc_port() -> int:
    """Return 8081, or 0 where the platform gives the port ($PORT).

    There is one port then, which speaks gRPC too; 8081 itself is somebody else's, for processes of
    one machine do not have a network each.
    """
    return 0 if os.environ.get("PORT") else DEFAULT_GRPC_PORT


def make_parser() -> argparse.ArgumentParser:
    """Return a parser of KServe's arguments and of `--host`, without `--help`."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, number in _NUMBERS.items():
        parser.add_argument(name, type=int, default=number)
    parser.set_defaults(http_port=get_http_port(), grpc_port=get_grpc_port())
    for name, truth in _BOOLS.items():
        parser.add_argument(name, type=strtobool, default=truth, nargs="?", const=True)
    for name, text in _TEXTS.items():
        parser.add_argument(name, default=text)
    for name, words in _CHOICES.items():
        parser.add_argument(name, choices=words, default=words[0])
    parser.add_argument("--enable_predictor_health_check", action="store_true")
    return parser


def make_argv(values: dict[str, Any]) -> list[str]:
    """Return the model server's arguments of the values that are not the defaults."""
    parser = make_parser()
    # The server's own.
    parser.set_defaults(http_port=DEFAULT_HTTP_PORT, grpc_port=DEFAULT_GRPC_PORT)
    argv: list[str] = []
    for action in parser._actions:  # noqa: SLF001  # argparse's only list of its arguments
        value = values.get(action.dest, action.default)
        if action.dest not in PREDICTOR and value != action.default:
            argv.append(f"{action.option_strings[0]}={value}")
    return argv
