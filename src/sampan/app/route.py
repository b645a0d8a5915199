"""The router of an InferenceGraph, as a process. Wiring only.

Exit codes: 0 asked to stop, 1 the graph cannot be run, 2 usage, 3 the system (port taken).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
from typing import TYPE_CHECKING

from sampan.app.route_arguments import Options, parse
from sampan.app.serving_process import bind_or_tell, log_to_stderr, run_loop
from sampan.router.graph import Graph, InvalidGraph
from sampan.server.graph_calls import Caller
from sampan.server.graph_front import GraphFront
from sampan.server.graph_grpc import GraphGrpc
from sampan.server.load_failure import LoadFailure
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener
from sampan.wire.upstream import Upstreams
from sampan.wire.upstream_answer import UpstreamLimits

if TYPE_CHECKING:
    from sampan.app.route_fused import FusedModels
    from sampan.server.graph_tracing import GraphTracing
    from sampan.server.tracing import Tracing

logger = logging.getLogger("sampan.route")


def main(argv: list[str] | None = None) -> int:
    """Route until a signal comes; return the exit code. `argv` without the program's name."""
    log_to_stderr()
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except InvalidGraph as error:
        logger.error("%s", error)  # noqa: TRY400  # the user's mistake: no trace of ours
        return 1
    for warning in options.warnings:
        logger.warning("%s", warning)
    sock = bind_or_tell(options.host, options.port, logger)
    return 3 if sock is None else run_loop(_serve(options, sock))


def fork_main(argv: list[str]) -> int:
    """Route in a child forked from a zygote: the modules are there, the loop is made anew."""
    return main(argv)


async def _serve(options: Options, sock: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    upstreams = Upstreams(loop, UpstreamLimits(body_bytes=options.max_body_bytes))
    tracing = _make_tracing()
    try:
        models = await _load_models(options, tracing)
        caller = make_caller(options.graph, upstreams, models)
    except LoadFailure as error:
        from sampan.app.serve import terminate  # there already: a model was to be loaded

        return terminate(error)
    except InvalidGraph as error:
        logger.error("%s", error)  # noqa: TRY400  # the user's mistake: no trace of ours
        return 1
    draw = random.Random().randrange  # noqa: S311  # shares of traffic, no secret
    if models is not None:
        caller.metrics.beside = models.render_metrics
    front = GraphFront(
        options.graph, caller, options.patterns, lambda: draw(100), _trace_graph(tracing)
    )
    limits = _make_limits(options.graph, options.max_body_bytes)
    listener = Listener(front.submit, limits, GraphGrpc(front, options.max_body_bytes))
    await listener.listen_on(sock)
    logger.info("listening on http://%s:%s", *listener.address)
    gc.collect()
    gc.freeze()  # what is there lives as long as the process: no collection looks at it again
    await stop.wait()
    front.stopping = True
    await asyncio.sleep(options.shutdown_delay)
    logger.info("draining, at most %s seconds", options.grace_period)
    cut_off = await listener.drain(options.grace_period)
    upstreams.close()
    if models is not None:
        models.unload()
    if tracing is not None:
        await asyncio.to_thread(tracing.close)
    if cut_off:
        logger.warning("%s connections were cut off after the grace period", cut_off)
    return 0


def make_caller(graph: Graph, upstreams: Upstreams, models: FusedModels | None) -> Caller:
    """Return what calls the steps of a graph; raise InvalidGraph."""
    if models is None:
        return Caller(graph, upstreams)
    from sampan.server.graph_models import LocalModels  # imports a model server's worth

    local = LocalModels(models.dataplane, upstreams.loop, models.rest)
    return Caller(graph, upstreams, models.submit, local)


def _make_tracing() -> Tracing | None:
    """Return the tracing that the environment asks for; who does not ask imports nothing of it."""
    if not any(name.startswith("OTEL_") for name in os.environ):
        return None
    from sampan.server.tracing import make_tracing

    return make_tracing()


def _trace_graph(tracing: Tracing | None) -> GraphTracing | None:
    if tracing is None:
        return None
    from sampan.server.graph_tracing import GraphTracing  # only where traces are asked for

    return GraphTracing(tracing)


async def _load_models(options: Options, tracing: Tracing | None) -> FusedModels | None:
    """Return the models of this process, loaded; None where there are none."""
    if not options.models:
        return None
    from sampan.app.route_fused import load_models  # a model server's worth of imports

    return await load_models(options.models, options.runtime, trust=options.trust, tracing=tracing)


def _make_limits(graph: Graph, body_bytes: int) -> Limits:
    timeouts = graph.timeouts
    return Limits(
        body_bytes=body_bytes,
        idle_seconds=timeouts.server_idle,
        http2_idle_seconds=timeouts.server_idle,
        header_seconds=timeouts.server_read,
        body_seconds=timeouts.server_read,
        write_seconds=timeouts.server_write,
    )


if __name__ == "__main__":
    raise SystemExit(main())
