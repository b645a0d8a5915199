"""One model server: arguments in, exit code out. Wiring only.

Exit codes: 0 asked to stop, 1 the model cannot be served, 2 usage, 3 the system (port taken).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from sampan.app.ready_word import tell_ready
from sampan.app.reloading import Look, Reloader, observe_target
from sampan.app.serve_arguments import Options, parse
from sampan.app.serve_capacity import apply_capacity
from sampan.app.serve_extensions import Extended, Extensions, load_extensions
from sampan.app.serve_listeners import PortTaken, bind_ports, drain, listen, make_listeners
from sampan.app.serve_observation import make_log_formatter, make_observation
from sampan.app.serve_repository import Served, make_served
from sampan.app.serve_socket import Certificate
from sampan.app.serve_workers import Place, Supervisor
from sampan.app.serving_process import run_loop
from sampan.app.targets import Target
from sampan.app.worker_metrics import WorkerMetrics, write_loads
from sampan.server.dataplane import DataPlane
from sampan.server.health import HealthWatch
from sampan.server.load_failure import LoadFailure, describe_failure
from sampan.server.metrics import Metrics
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

logger = logging.getLogger("sampan.serve")

MakeServed: TypeAlias = Callable[[Options], Served]
Sockets: TypeAlias = dict[int, socket.socket]

TERMINATION_LOG = "SAMPAN_TERMINATION_LOG"
_SWITCH_SECONDS = 0.001
"""How long a model in Python keeps the interpreter while health waits for it. Python's own 5 ms are
paid at each step of a probe; a model that nobody waits for is not interrupted."""

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""Threads of OpenMP sleep while they wait for each other. Where other processes want the
processors too, spinning takes 30 times the CPU time (measured: a small network of PyTorch, 85 ms
and 2.9 ms a request). At import, not in `main`: a zygote imports this, and then the engine, which
reads it once."""


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal comes; return the exit code. `argv` without the program's name."""
    return _start(parse(sys.argv[1:] if argv is None else argv), make_served)


def serve_models(
    models: Mapping[str, Model], argv: list[str], extensions: Extensions | None = None
) -> int:
    """Serve models that the caller made, by name, until a signal comes; return the exit code."""

    def make(options: Options) -> Served:
        repository = ModelRepository()
        for name, model in models.items():
            repository.update(model, name)
        return Served(repository, extensions or load_extensions(options))

    return _start(parse(argv, with_models=True), make)


def _start(options: Options, make: MakeServed) -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(make_log_formatter(options.log_format))
    logging.basicConfig(level=options.log_level, handlers=[handler])
    for warning in options.warnings:
        logger.warning("%s", warning)
    try:
        sockets = bind_ports(options)
    except PortTaken as error:
        return terminate(LoadFailure("PortTaken", str(error)), code=3)
    try:
        if options.capacity.workers > 1:
            return _serve_forked(options, make, sockets)
        return _run(_serve(options, make, sockets))
    finally:
        if options.address.uds:
            Path(options.address.uds).unlink(missing_ok=True)


def _run(main: Coroutine[Any, Any, int]) -> int:
    sys.setswitchinterval(_SWITCH_SECONDS)
    return run_loop(main)


def _serve_forked(options: Options, make: MakeServed, sockets: Sockets) -> int:
    """Load here, once, then serve from workers that share what was loaded."""
    loads = Metrics()
    try:
        served = make(options)
        failure = _load_here(served.repository, _is_fatal(served, options), loads)
    except (LoadFailure, ValueError, OSError) as error:
        failure = describe_failure(error)
    if failure is not None:
        return terminate(failure)
    gc.collect()
    gc.freeze()  # a collection in a worker would write to pages that are shared
    with tempfile.TemporaryDirectory(prefix="sampan-workers-") as folder:  # mode 0700
        write_loads(Path(folder), loads)

        def serve(place: Place) -> int:
            return _run(_serve(options, lambda _: served, sockets, (place, Path(folder))))

        capacity = options.capacity
        supervisor = Supervisor(
            serve, capacity.workers, capacity.worker_timeout, options.grace_period
        )
        return supervisor.run()


def _is_fatal(served: Served, options: Options) -> bool:
    """Whether a model that does not load ends the server: the only one does, of several none."""
    return served.strict or (len(served.repository.names()) == 1 and not options.multi_model)


def _load_here(repository: ModelRepository, fatal: bool, loads: Metrics) -> LoadFailure | None:
    """Load on this thread and count it; return why a model cannot be served where it is fatal."""
    names = repository.names()
    for name in names:
        entry = repository.get(name)
        if entry.model.ready:  # made ready by its maker, as KServe's examples do
            continue
        began = perf_counter()
        try:
            entry.model.load()
            loads.observe_load(name, perf_counter() - began, success=True)
            logger.info('model "%s" is ready', name)
        except Exception as error:  # noqa: BLE001  # told, whatever it is
            failure = describe_failure(error)
            loads.observe_load(name, perf_counter() - began, success=False)
            logger.error('model "%s" does not load: %s', name, failure.message)  # noqa: TRY400
            entry.reason = failure.message
            if fatal:
                return failure
    return None


def fork_main(argv: list[str]) -> int:
    """Serve in a child forked from a zygote: the modules are there, the loop is made anew."""
    return main(argv)


async def _serve(
    options: Options,
    make: MakeServed,
    sockets: Sockets,
    worker: tuple[Place, Path] | None = None,
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, stop.set)
    looks = {target: observe_target(target) for target in options.targets if options.reload}
    try:
        served = make(options)
    except (LoadFailure, ValueError, OSError) as error:
        return terminate(describe_failure(error))
    repository = served.repository
    workers = Workers(options.max_asyncio_workers)
    dataplane = DataPlane(repository, workers)
    apply_capacity(dataplane, options.capacity)
    extended = Extended(served.extensions)
    observation = make_observation(options)
    listeners = make_listeners(dataplane, options, extended, observation, served.api)
    try:
        certificate = Certificate(options.address) if options.address.ssl_certfile else None
    except (OSError, ssl.SSLError) as error:
        return terminate(_certificate_failure(options, error), code=3)
    await listen(listeners, sockets, options, certificate)
    beside = _start_beside(dataplane, certificate, worker, stop)
    try:
        async with extended.lifespan():
            failure = await _load(dataplane, workers, _is_fatal(served, options), stop)
            if failure is None:
                tell_ready()
                await _until(stop, _watching(served, workers, looks))
                logger.info("draining, at most %s seconds", options.grace_period)
            await _drain(listeners, options.grace_period if failure is None else 0.0)
    except LoadFailure as error:  # of an extension's start
        failure = error
        await _drain(listeners, 0.0)
    for task in beside:
        task.cancel()
    for name in repository.names():
        repository.unload(name)
    if observation.tracing is not None:
        await workers.run(observation.tracing.close)
    return 0 if failure is None else terminate(failure)


async def _drain(listeners: dict[int, Listener], seconds: float) -> None:
    cut_off = await drain(listeners, seconds)
    if cut_off:
        logger.warning("%s connections were cut off after the grace period", cut_off)


def _start_beside(
    dataplane: DataPlane,
    certificate: Certificate | None,
    worker: tuple[Place, Path] | None,
    stop: asyncio.Event,
) -> list[asyncio.Task[None]]:
    """Start what goes on beside requests: looking at certificates, and a worker's duties."""
    watch = HealthWatch(dataplane.repository, dataplane.workers)
    tasks = [_keep(watch.run())]
    if certificate is not None:
        tasks.append(_keep(certificate.watch()))
    if worker is not None:
        place, folder = worker
        shared = WorkerMetrics(folder, place.index, place.count, dataplane.metrics)
        dataplane.other_states = shared.others
        asyncio.get_running_loop().add_reader(place.parent, stop.set)
        tasks.append(_keep(_work(place, shared)))
    return tasks


def _keep(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run what goes on as long as the server does; an end that nobody expected is told."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_tell_end)
    return task


def _tell_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error(
            "what goes on beside requests ended; start the server anew", exc_info=task.exception()
        )


async def _work(place: Place, shared: WorkerMetrics) -> None:
    """Show once a second that the loop turns, and leave the metrics for the others."""
    while True:
        place.beat()
        shared.write()
        await asyncio.sleep(1.0)


def _watching(
    served: Served, workers: Workers, looks: Mapping[Target, Look]
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what looks for changes while models serve: of edited files, of a runtime's own."""
    if looks:
        yield Reloader(served.repository, workers, looks).run()
    if served.beside is not None:
        yield served.beside(workers)


async def _until(stop: asyncio.Event, watching: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for the signal; what changes is put in place meanwhile."""
    tasks = [_keep(one) for one in watching]
    await stop.wait()
    for task in tasks:
        task.cancel()


async def _load(
    dataplane: DataPlane, workers: Workers, fatal: bool, stop: asyncio.Event
) -> LoadFailure | None:
    """Load every registered model on a thread while health is answered already.

    Return why a model cannot be served where that is fatal; else it stays not ready.
    """
    repository = dataplane.repository
    names = repository.names()
    for name in names:
        entry = repository.get(name)
        if entry.model.ready:  # made ready by its maker, as KServe's examples do
            continue
        began = perf_counter()
        loading = asyncio.ensure_future(workers.run(entry.model.load))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not loading.done():
            return None
        error = loading.exception()
        dataplane.metrics.observe_load(name, perf_counter() - began, success=error is None)
        if error is None:
            logger.info('model "%s" is ready', name)
            continue
        failure = describe_failure(error)
        logger.error('model "%s" does not load: %s', name, failure.message)
        entry.reason = failure.message
        if fatal:
            return failure
    for name in names:
        await _warm_up(repository.get(name).model, workers)
    await HealthWatch(repository, workers).look()
    gc.collect()
    gc.freeze()  # what loading made lives as long as the process: no collection looks at it again
    dataplane.started = True
    return None


async def _warm_up(model: Model, workers: Workers) -> None:
    """Have a loaded model warm up; one that cannot is served all the same."""
    if not model.ready:
        return
    try:
        await workers.run(model.warm_up)
    except Exception as error:  # noqa: BLE001  # the first request then does what this would have
        logger.info('model "%s" starts cold: %s: %s', model.name, type(error).__name__, error)


def _certificate_failure(options: Options, error: Exception) -> LoadFailure:
    return LoadFailure(
        "CertificateUnreadable",
        f'certificate "{options.address.ssl_certfile}" cannot be served ({error}); give a PEM '
        "chain with --ssl_certfile and its unencrypted key with --ssl_keyfile",
    )


def terminate(failure: LoadFailure, code: int = 1) -> int:
    """Say why the process ends: on standard error, and to the file that the starter named."""
    logger.error("%s: %s", failure.reason, failure.message)
    path = os.environ.get(TERMINATION_LOG)
    if path:
        line = json.dumps({"reason": failure.reason, "message": failure.message})
        with contextlib.suppress(OSError):  # the exit code and the log tell it as well
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(line + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
