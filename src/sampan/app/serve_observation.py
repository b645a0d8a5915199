"""The model server's arguments of observation, and what they switch on."""

from __future__ import annotations

import argparse
import json
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.app.serve_arguments import Options
    from sampan.server.exchange import Observation

TEXT = "%(asctime)s.%(msecs)03d %(process)s %(name)s %(levelname)s %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"
JSON = "json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides which requests and answers are told of, and to whom."""
    add = parser.add_argument
    lines = 'a line a request on standard output: "json", or atoms as "%%(m)s %%(U)s %%(s)s"'
    add("--access_log_format", default="", type=_access_format, help=lines)
    add("--log_format", choices=("text", JSON), default="text", help="of the server's own log")
    add("--enable_server_timing", action="store_true", help="send Server-Timing with each answer")
    add("--debug", action="store_true", help="send the stack with a 500; never where others ask")


def make_log_formatter(log_format: str) -> logging.Formatter:
    """Return the formatter of the server's own log."""
    return JsonFormatter() if log_format == JSON else logging.Formatter(TEXT, DATES)


def make_observation(options: Options) -> Observation:
    """Return what the arguments and the environment (`OTEL_*`) ask to observe."""
    from sampan.server.access_log import AccessLog
    from sampan.server.exchange import Observation
    from sampan.server.tracing import make_tracing

    return Observation(
        access_log=AccessLog(options.access_log_format) if options.access_log_format else None,
        server_timing=options.enable_server_timing,
        tracing=make_tracing(),
        debug=options.debug,
        docs=options.enable_docs_url,
    )


class JsonFormatter(logging.Formatter):
    """A log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _access_format(value: str) -> str:
    from sampan.server.access_log import JSON as JSON_LINES
    from sampan.server.access_log import validate_format

    if value != JSON_LINES:
        try:
            validate_format(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return value
