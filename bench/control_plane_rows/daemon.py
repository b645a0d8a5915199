"""A daemon without replicas, as a process: `python -m ... STATE PORT RESPONDER [--envoy]`.

It serves its API until SIGTERM, and prints when it is up: its pid and what it took to get there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

from bench.control_plane_rows.edge import Pretender
from bench.control_plane_rows.stage import playing


async def main(folder: Path, port: int, *, envoy: bool) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    began, used = time.perf_counter(), time.process_time()
    async with playing(folder, port, envoy=envoy) as stage:
        daemon = stage.daemon
        serving = asyncio.create_task(daemon.api.serve(daemon.socket, daemon.tls))
        told = {
            "pid": os.getpid(),
            "port": daemon.socket.getsockname()[1],
            "token": daemon.token,
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - used,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await stopping.wait()
        daemon.api.stop()
        await serving


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("responder", type=int)
    parser.add_argument("--envoy", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    args = _parse()
    Pretender.port = args.responder
    asyncio.run(main(args.folder, args.port, envoy=args.envoy))
