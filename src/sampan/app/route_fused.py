"""Models in the router's own process: a graph whose steps need no connection. Wiring only."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from sampan.app.serve_arguments import parse
from sampan.app.serve_repository import make_served
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Observation
from sampan.server.load_failure import describe_failure
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.message import Submit

if TYPE_CHECKING:
    from sampan.server.tracing import Tracing

logger = logging.getLogger("sampan.route")


@dataclass(frozen=True, slots=True)
class FusedModels:
    """Models that are loaded, and what answers for them."""

    dataplane: DataPlane
    submit: Submit
    rest: Rest | None = None
    """What values are handed to; None where each call is traced as a request."""

    def render_metrics(self) -> bytes:
        """Return the models' metrics in Prometheus's text format."""
        return self.dataplane.metrics.render(self.dataplane.other_states())

    def unload(self) -> None:
        """Let every model go."""
        for name in self.dataplane.repository.names():
            self.dataplane.repository.unload(name)


async def load_models(
    folders: Mapping[str, str],
    runtime: str,
    *,
    trust: bool = False,
    tracing: Tracing | None = None,
) -> FusedModels:
    """Load models, each by its name from its folder.

    Raise LoadFailure: a graph one of whose models is not there answers nobody.
    """
    dataplane = DataPlane(ModelRepository(), Workers())
    try:
        for name, folder in folders.items():
            await _load(_make_model(name, folder, runtime, trust=trust), dataplane)
    except Exception as error:
        raise describe_failure(error) from error
    gc.collect()
    dataplane.started = True
    rest = Rest(dataplane, Observation(tracing=tracing))
    return FusedModels(dataplane, rest.submit, rest if tracing is None else None)


def _make_model(name: str, folder: str, runtime: str, *, trust: bool) -> Model:
    """Return a model as its server makes it of a folder."""
    words = [f"--runtime={runtime}", f"--model_dir={folder}", f"--model_name={name}"]
    repository = make_served(parse([*words, "--trust"] if trust else words)).repository
    return repository.get(name).model


async def _load(model: Model, dataplane: DataPlane) -> None:
    began = perf_counter()
    dataplane.repository.update(model, model.name)
    await dataplane.workers.run(model.load)
    dataplane.metrics.observe_load(model.name, perf_counter() - began, success=True)
    await dataplane.workers.run(model.warm_up)
    logger.info('model "%s" is ready in this process', model.name)
