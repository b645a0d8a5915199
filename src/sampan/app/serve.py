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
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from sampan.app.reloading import Reloader
from sampan.app.serve_arguments import Options, parse
from sampan.app.targets import make_model
from sampan.runtimes import get_runtime, resolve
from sampan.runtimes.model_files import sub_folders
from sampan.runtimes.pickles import parse_names
from sampan.server.dataplane import DataPlane
from sampan.server.load_failure import LoadFailure, describe_failure
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener

logger = logging.getLogger("sampan.serve")

MakeRepository: TypeAlias = Callable[[Options], ModelRepository]

TERMINATION_LOG = "SAMPAN_TERMINATION_LOG"
_LOG_FORMAT = "%(asctime)s.%(msecs)03d %(process)s %(name)s %(levelname)s %(message)s"
_LOG_DATES = "%Y-%m-%d %H:%M:%S"


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal comes; return the exit code. `argv` without the program's name."""
    return _start(parse(sys.argv[1:] if argv is None else argv), _make_repository)


def serve_models(models: Mapping[str, Model], argv: list[str]) -> int:
    """Serve models that the caller made, by name, until a signal comes; return the exit code."""

    def make(options: Options) -> ModelRepository:
        del options
        repository = ModelRepository()
        for name, model in models.items():
            repository.update(model, name)
        return repository

    return _start(parse(argv, with_models=True), make)


def _start(options: Options, make: MakeRepository) -> int:
    logging.basicConfig(level=options.log_level, format=_LOG_FORMAT, datefmt=_LOG_DATES)
    for warning in options.warnings:
        logger.warning("%s", warning)
    try:
        import uvloop
    except ImportError:  # not made for this system; asyncio's own loop serves, slower
        return asyncio.run(_serve(options, make))
    return uvloop.run(_serve(options, make))


def fork_main(argv: list[str]) -> int:
    """Serve in a child forked from a zygote: the modules are there, the loop is made anew."""
    return main(argv)


async def _serve(options: Options, make: MakeRepository) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, stop.set)
    try:
        repository = make(options)
    except (LoadFailure, ValueError, OSError) as error:
        return _terminate(describe_failure(error))
    workers = Workers(options.max_asyncio_workers)
    dataplane = DataPlane(repository, workers)
    limits = Limits(
        body_bytes=options.max_body_bytes, idle_seconds=float(options.timeout_keep_alive)
    )
    listener = Listener(Rest(dataplane).submit, limits)
    try:
        await listener.listen(options.host, options.http_port)
    except OSError as error:
        return _terminate(_port_failure(options, error), code=3)
    host, port = listener.address
    logger.info("listening on http://%s:%s", host, port)
    failure = await _load(dataplane, workers, options, stop)
    if failure is None:
        await _until(stop, options, repository, workers)
        logger.info("draining, at most %s seconds", options.grace_period)
    cut_off = await listener.drain(options.grace_period if failure is None else 0.0)
    if cut_off:
        logger.warning("%s connections were cut off after the grace period", cut_off)
    for name in repository.names():
        repository.unload(name)
    return 0 if failure is None else _terminate(failure)


async def _until(
    stop: asyncio.Event, options: Options, repository: ModelRepository, workers: Workers
) -> None:
    """Wait for the signal; with --reload, put edited models in place meanwhile."""
    if not options.reload:
        await stop.wait()
        return
    reloading = asyncio.ensure_future(Reloader(options.targets, repository, workers).run())
    await stop.wait()
    reloading.cancel()


async def _load(
    dataplane: DataPlane, workers: Workers, options: Options, stop: asyncio.Event
) -> LoadFailure | None:
    """Load every registered model on a thread while health is answered already.

    Return why the only model cannot be served; of several, those that cannot stay not ready.
    """
    repository = dataplane.repository
    names = repository.names()
    for name in names:
        entry = repository.get(name)
        if entry.model.ready:  # made ready by its maker, as KServe's examples do
            continue
        loading = asyncio.ensure_future(workers.run(entry.model.load))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not loading.done():
            return None
        error = loading.exception()
        if error is None:
            logger.info('model "%s" is ready', name)
            continue
        failure = describe_failure(error)
        logger.error('model "%s" does not load: %s', name, failure.message)
        entry.reason = failure.message
        if len(names) == 1 and not options.multi_model:
            return failure
    gc.collect()
    gc.freeze()  # what loading made lives as long as the process: no collection looks at it again
    dataplane.started = True
    return None


def _make_repository(options: Options) -> ModelRepository:
    """Register the targets; else the model of the folder, or one a sub-folder of models."""
    if options.targets:
        repository = ModelRepository()
        for target in options.targets:
            repository.update(make_model(target), target.name)
        return repository
    runtime = get_runtime(options.runtime)
    model_class = resolve(runtime.model)
    allowed = frozenset[str]()
    if options.allow_classes:
        allowed = parse_names(Path(options.allow_classes).read_text())
    root = Path(options.model_dir)

    def make(name: str, folder: Path) -> Model:
        model: Model = model_class(name, str(folder), trust=options.trust, allowed=allowed)
        return model

    if options.multi_model:
        repository = ModelRepository(lambda name: make(name, _child(root, name)))
        for name in sub_folders(root):
            repository.update(make(name, root / name))
        return repository
    repository = ModelRepository()
    repository.update(make(options.model_name, root))
    return repository


def _child(root: Path, name: str) -> Path:
    """Return the folder of a model asked for by a request: never outside the root."""
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise LoadFailure("ModelMissing", f'"{name}" is no name of a folder in the model folder')
    return root / name


def _port_failure(options: Options, error: OSError) -> LoadFailure:
    return LoadFailure(
        "PortTaken",
        f"port {options.http_port} on {options.host} cannot be had ({error.strerror or error}); "
        "end what holds it or choose another with --http_port",
    )


def _terminate(failure: LoadFailure, code: int = 1) -> int:
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
