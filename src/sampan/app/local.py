"""The daemon of the local platform, as a process.

`python -m sampan.app.local --state DIR ...` runs it; `sampan up` and `sampan run` start it. SIGTERM
and SIGINT stop everything that it runs. A daemon that dies leaves models and Envoy serving, and
the next one adopts them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sampan.apiserver.private_file import write_private
from sampan.app.daemon_lock import AlreadyRunning
from sampan.app.local_parts import Daemon, Settings, started
from sampan.app.operator_settings import OperatorSettingsError
from sampan.app.paths import find_paths
from sampan.gateway.errors import GatewayError
from sampan.machinery.errors import ApiError
from sampan.platforms.local.images import ImageTableError

log = logging.getLogger("sampan")


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT (or standard input closes), then stop all that was started."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if settings.until_stdin_closes:
        loop.add_reader(0, _watch_stdin, stopping)
    starting = asyncio.create_task(_serve(settings, stopping))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await starting


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    async with started(settings) as daemon:
        serving = asyncio.create_task(daemon.api.serve(daemon.socket, daemon.tls))
        write_private(settings.paths.daemon_file, _address(settings, daemon))
        log.info("up: gateway on port %d, pid %d", settings.port, os.getpid())
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        settings.paths.daemon_file.unlink(missing_ok=True)
        daemon.api.stop()
        waiting.cancel()
        await serving
    log.info("stopped")


def _watch_stdin(stopping: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        stopping.set()


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


def _parse(argv: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="sampan.app.local", description=__doc__)
    parser.add_argument("--state", type=Path, help="state folder")
    parser.add_argument("--port", type=int, default=8080, help="port of the gateway")
    parser.add_argument("--api-port", type=int, default=0, help="port of the API server; 0: free")
    parser.add_argument("--until-stdin-closes", action="store_true")
    parser.add_argument("--temporary", action="store_true", help="remove the state in the end")
    told = parser.parse_args(argv)
    if told.temporary and told.state is None:
        parser.error("--temporary removes the state folder, so it needs one of its own: --state")
    paths = find_paths()
    paths = paths if told.state is None else paths.with_state(told.state)
    return Settings(
        paths,
        told.port,
        told.api_port,
        until_stdin_closes=told.until_stdin_closes,
        temporary=told.temporary,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; returns 0, or 3 with the reason as the last line of its log."""
    settings = _parse(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    os.umask(0o077)
    settings = replace(settings, environ=dict(os.environ))
    try:
        asyncio.run(run(settings))
    except (
        AlreadyRunning,
        GatewayError,
        ApiError,
        ImageTableError,
        OperatorSettingsError,
        OSError,
    ) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    if settings.temporary:
        # Here and not in the command that started us: it may have been killed, or its terminal.
        shutil.rmtree(settings.paths.state, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
