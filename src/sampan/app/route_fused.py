"""Models in the router's own process: a graph whose steps need no connection. Wiring only."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from time import perf_counter

from sampan.app.serve_arguments import parse
from sampan.app.serve_repository import make_served
from sampan.server.dataplane import DataPlane
from sampan.server.load_failure import describe_failure
from sampan.server.model import Model
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.message import Submit

logger = logging.getLogger("sampan.route")


@dataclass(frozen=True, slots=True)
class FusedModels:
    """Models that are loaded, and what answers for them."""

    dataplane: DataPlane
    submit: Submit

    def render_metrics(self) -> bytes:
        """Return the models' metrics in Prometheus's text format."""
        return self.dataplane.metrics.render(self.dataplane.other_states())

    def unload(self) -> None:
        """Let every model go."""
        for name in self.dataplane.repository.names():
            self.dataplane.repository.unload(name)


async def load_models(folder: str, runtime: str) -> FusedModels:
    """Load every model of a folder, one a sub-folder of its name.

    Raise LoadFailure: a graph one of whose models is not there answers nobody.
    """
    options = parse([f"--runtime={runtime}", "--multi_model", f"--model_dir={folder}"])
    try:
        repository = make_served(options).repository
        workers = Workers(options.max_asyncio_workers)
        dataplane = DataPlane(repository, workers)
        for name in repository.names():
            await _load(name, repository.get(name).model, dataplane)
    except Exception as error:
        raise describe_failure(error) from error
    gc.collect()
    dataplane.started = True
    return FusedModels(dataplane, Rest(dataplane).submit)


async def _load(name: str, model: Model, dataplane: DataPlane) -> None:
    began = perf_counter()
    await dataplane.workers.run(model.load)
    dataplane.metrics.observe_load(name, perf_counter() - began, success=True)
    await dataplane.workers.run(model.warm_up)
    logger.info('model "%s" is ready in this process', name)
