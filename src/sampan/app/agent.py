"""The sidecar of a pod, as a process. Wiring only.

Exit codes: 0 asked to stop, 2 usage, 3 the system (port taken).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from sampan.agent.batcher import Batcher
from sampan.agent.front import Front
from sampan.agent.probing import Prober
from sampan.agent.proxy import Proxy
from sampan.agent.puller import Call, Puller
from sampan.agent.recorder import Recorder
from sampan.agent.rpc import Rpc
from sampan.agent.waiting import result_of
from sampan.app.agent_arguments import Options, parse
from sampan.app.agent_log import start_log
from sampan.app.serving_process import bind_or_tell, log_to_stderr, run_loop
from sampan.storage.fetch import fetch
from sampan.storage.patterns import Patterns
from sampan.storage.placing import place, prepare_folder
from sampan.storage.pod_environment import make_pod_options
from sampan.wire.listener import Listener
from sampan.wire.message import Request
from sampan.wire.upstream import Upstreams

logger = logging.getLogger("sampan.agent")


def main(argv: list[str] | None = None) -> int:
    """Stand before a component until a signal comes; return the exit code."""
    log_to_stderr()
    options = parse(sys.argv[1:] if argv is None else argv)
    for warning in options.warnings:
        logger.warning("%s", warning)
    sock = bind_or_tell(options.host, options.port, logger)
    return 3 if sock is None else run_loop(_serve(options, sock))


async def _serve(options: Options, sock: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    upstreams = Upstreams(loop)
    proxy = Proxy(upstreams, options.component_port)
    log = start_log(options.log, loop) if options.log else None
    recorder = None
    if options.log and log:
        recorder = Recorder(log, options.log.origin, options.log.mode)
    puller = _make_puller(options, proxy)
    following = asyncio.create_task(puller.run()) if puller is not None else None
    batcher = Batcher(proxy.send, *options.batch) if options.batch else None
    is_ready = _make_readiness(Prober(upstreams, options.probes), puller)
    front = Front(proxy, is_ready, batcher=batcher, recorder=recorder)
    rpc = Rpc(upstreams.http2_pool(proxy.origin), recorder)
    listener = Listener(front.submit, calls=rpc)
    await listener.listen_on(sock)
    logger.info("listening on http://%s:%s, before %s", *listener.address, proxy.origin)
    await stop.wait()
    front.stopping = True
    if log is not None:
        log.hurry()  # what follows may take as long as the pod is given
    await asyncio.sleep(options.shutdown_delay)
    cut_off = await listener.drain(options.grace_period)
    if cut_off:
        logger.warning("%s connections were cut off after the grace period", cut_off)
    if following is not None:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    if log is not None:
        await log.close(options.grace_period)
    upstreams.close()
    return 0


def _make_readiness(prober: Prober, puller: Puller | None) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        if puller is not None and not puller.caught_up.is_set():
            return False
        return await prober.is_ready()

    return is_ready


def _make_puller(options: Options, proxy: Proxy) -> Puller | None:
    if options.pull is None:
        return None
    config, models = options.pull
    return Puller(config, models, _pull, _make_call(proxy))


async def _pull(uri: str, folder: Path) -> None:
    work = await asyncio.to_thread(prepare_folder, folder)
    fetched = await fetch(uri, make_pod_options(os.environ, work))
    await asyncio.to_thread(place, fetched, folder, Patterns())


def _make_call(proxy: Proxy) -> Call:
    async def call(path: str) -> tuple[int, str]:
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        request = Request(b"POST", path.encode(), headers, b"{}")
        response = await result_of(partial(proxy.send, request))
        return response.status, response.body.decode(errors="replace").strip()

    return call


if __name__ == "__main__":
    raise SystemExit(main())
