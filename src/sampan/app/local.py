"""The daemon of the local platform, as a process.

`python -m sampan.app.local --state DIR ...` runs it; `sampan up` and `sampan run` start it. SIGTERM
and SIGINT stop everything that it runs. A daemon that dies leaves models and Envoy serving, and
the next one adopts them.

Loading the daemon takes a third of a second. What can begin before is begun here: the lock is
taken, and where a service is certain to come its framework is imported by another process.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sampan.app.daemon_lock import AlreadyRunning, DaemonLock
from sampan.app.daemon_settings import Settings
from sampan.app.paths import find_paths
from sampan.platforms.local.container_env import select_inherited
from sampan.platforms.local.forecast import Forecast
from sampan.platforms.local.zygote import ZygotePool


async def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT (or standard input closes), then stop all that was started."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if settings.until_stdin_closes:
        loop.add_reader(0, _watch_stdin, stopping)
    zygotes = _make_zygotes(settings)
    try:
        if settings.warm:
            await zygotes.warm_up()
        from sampan.app.local_run import run as run_loaded

        return await run_loaded(settings, zygotes, stopping)
    finally:
        await zygotes.close(retire=True)


def _make_zygotes(settings: Settings) -> ZygotePool:
    inherited = select_inherited(settings.environ)
    forecast = Forecast(settings.paths.cache / "zygotes" / "last.json", inherited)
    return ZygotePool(settings.paths.state / "zygotes", forecast=forecast)


def _watch_stdin(stopping: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        stopping.set()


def _parse(argv: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="sampan.app.local", description=__doc__)
    parser.add_argument("--state", type=Path, help="state folder")
    parser.add_argument("--port", type=int, default=8080, help="port of the gateway")
    parser.add_argument("--api-port", type=int, default=0, help="port of the API server; 0: free")
    parser.add_argument("--until-stdin-closes", action="store_true")
    parser.add_argument("--temporary", action="store_true", help="remove the state in the end")
    parser.add_argument("--warm", action="store_true", help="prepare for a service at once")
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
        warm=told.warm,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; returns 0, or 3 with the reason as the last line of its log."""
    settings = _parse(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    os.umask(0o077)
    try:
        lock = DaemonLock(settings.paths.make().lock_file)
        lock.acquire()
    except (AlreadyRunning, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    try:
        code = asyncio.run(run(settings))
    finally:
        lock.release()
    if settings.temporary and code == 0:
        # Here and not in the command that started us: it may have been killed, or its terminal.
        shutil.rmtree(settings.paths.state, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
