"""How a process that serves begins: what it tells goes to standard error, a port, a loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine
from typing import Any

from sampan.app.serve_observation import make_log_formatter
from sampan.app.serve_socket import Address, bind


def log_to_stderr() -> None:
    """Have what is told go to standard error, a line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_log_formatter("text"))
    logging.basicConfig(level="INFO", handlers=[handler])


def bind_or_tell(host: str, port: int, logger: logging.Logger) -> socket.socket | None:
    """Return a socket bound to an address; None, after telling why, where it cannot be had."""
    try:
        return bind(Address(), host, port)
    except OSError as error:
        where, why = f"port {port} on {host}", error.strerror or error
        logger.error("%s cannot be had (%s); choose another with --port", where, why)  # noqa: TRY400  # told whole
        return None


def run_loop(serving: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine to its end; return its exit code."""
    try:
        import uvloop
    except ImportError:  # not made for this system; asyncio's own loop serves, slower
        return asyncio.run(serving)
    return uvloop.run(serving)
