"""What the daemon does once it is loaded: start its parts, serve the API, stop them."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import sys
from pathlib import Path

from sampan.apiserver.private_file import write_private
from sampan.app.controllers import begin, cancel
from sampan.app.daemon_settings import Settings
from sampan.app.local_parts import Daemon, started
from sampan.app.operator_settings import OperatorSettingsError
from sampan.app.own_log import keep_small
from sampan.gateway.errors import GatewayError
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import ApiError
from sampan.platforms.local.images import ImageTableError
from sampan.platforms.local.zygote import ZygotePool

log = logging.getLogger("sampan")

_TOLD = (GatewayError, ApiError, ImageTableError, OperatorSettingsError, OSError)
"""What may keep a daemon from starting and says all that there is to say."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


async def run(settings: Settings, zygotes: ZygotePool, stopping: asyncio.Event) -> int:
    """Serve until told to stop; return 0, or 3 with the reason as the last line of the log."""
    starting = asyncio.create_task(_serve(settings, zygotes, stopping))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        await starting
    except _TOLD as error:
        sys.stderr.write(f"{describe_start_error(error, settings.paths.state)}\n")
        return 3
    return 0


def describe_start_error(error: Exception, state: Path) -> str:
    """Return what kept a daemon from starting, with the mend where only the system has spoken."""
    if not isinstance(error, OSError) or error.errno not in _DISK:
        return str(error)
    place = error.filename or state
    return (
        f'"{place}" cannot be written: {error.strerror}; free some disk space or make it writable, '
        "or choose another place with SAMPAN_HOME"
    )


async def _serve(settings: Settings, zygotes: ZygotePool, stopping: asyncio.Event) -> None:
    async with started(settings, zygotes) as daemon:
        serving = asyncio.create_task(daemon.api.serve(daemon.socket, daemon.tls))
        write_private(settings.paths.daemon_file, _address(settings, daemon))
        log.info("up: gateway on port %d, pid %d", settings.port, os.getpid())
        waiting = asyncio.create_task(stopping.wait())
        keeping = begin("own log", keep_small(settings.paths.log_file, SystemClock()))
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        settings.paths.daemon_file.unlink(missing_ok=True)
        daemon.api.stop()
        waiting.cancel()
        await cancel([keeping])
        await serving
    log.info("stopped")


def _address(settings: Settings, daemon: Daemon) -> bytes:
    host, port = daemon.socket.getsockname()[:2]
    told = {
        "host": host,
        "port": port,
        "token": daemon.token,
        "authority": daemon.authority.decode(),
        "pid": os.getpid(),
        "gatewayPort": settings.port,
    }
    return json.dumps(told).encode()
