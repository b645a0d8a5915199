"""TensorFlow: the runtime's declaration, and what its arguments and folder become."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    Container,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.serving import Offer, Order
from sampan.runtimes.tensorflow.config import ModelConfig, gather_config, gather_limits
from sampan.runtimes.tensorflow.following import Follower, Waits
from sampan.runtimes.tensorflow.layout import gather_models, gather_versions
from sampan.runtimes.tensorflow.monitoring import gather_metrics_path, make_metrics_route
from sampan.runtimes.tensorflow.routes import TensorflowRoutes
from sampan.runtimes.tensorflow.saved_model import Engine
from sampan.runtimes.tensorflow.services import TensorflowServices
from sampan.runtimes.tensorflow.store import TensorflowStore
from sampan.runtimes.tensorflow.version import Settings
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Method
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Handler, Rest
from sampan.server.routes import Route

logger = logging.getLogger("sampan.runtimes.tensorflow")

RUNTIME = Runtime(
    name="kserve-tensorflow-serving",
    server_type="tensorflow-serving",
    formats=(
        ModelFormat("tensorflow", "1", priority=2, auto_select=True),
        ModelFormat("tensorflow", "2", priority=2, auto_select=True),
    ),
    protocol_versions=("v1", "grpc-v1"),
    images=("tensorflow/serving", "tensorflow-serving", "kserve-tensorflow-serving"),
    model="sampan.runtimes.tensorflow.model:TensorflowModel",
    extensions=("saved_model.pb", ".keras", ".h5", ".hdf5"),
    requirements=(
        *SERVER_REQUIREMENTS,
        'tensorflow-cpu>=2.18; sys_platform != "darwin" and platform_machine == "x86_64"',
        'tensorflow>=2.18; sys_platform == "darwin" or platform_machine != "x86_64"',
        "keras>=3.11.3",  # the first whose safe mode counts for .h5 too
    ),
    package="",  # a tag names the server's release; any release reads older models
    preload=(*SERVER_PRELOAD, "sampan.runtimes.tensorflow.runtime"),  # it starts threads itself
    entry_arguments=("--runtime=tensorflow", "--grpc_port=0"),
    container_arguments=(
        "--model_name={{.Name}}",
        "--port=9000",
        "--rest_api_port=8080",
        "--model_base_path=/mnt/models",
        "--rest_api_timeout_in_ms=60000",
    ),
    port_flags=("--rest_api_port", "--port"),
    forks=False,
    arguments="sampan.runtimes.tensorflow.arguments:translate",
    server="sampan.runtimes.tensorflow.runtime:make_offer",
    programs=("/usr/bin/tensorflow_model_server", "tensorflow_model_server"),
    container=Container(
        image="tensorflow/serving:2.6.2",
        command=("/usr/bin/tensorflow_model_server",),
        run_as_user=1000,
    ),
)

_THREADS = "tensorflow_intra_op_parallelism"
_BETWEEN = "tensorflow_inter_op_parallelism"
_BOTH = "tensorflow_session_parallelism"


class TensorflowApi:
    """TensorFlow Serving's interface, REST and gRPC."""

    def __init__(self, store: TensorflowStore, metrics: str = "") -> None:
        self._metrics = metrics
        self._routes = TensorflowRoutes(store)
        self._services = TensorflowServices(store)

    def routes(self, rest: Rest) -> Iterable[tuple[Route, Handler]]:
        """Return its routes (`server.rest.Api`)."""
        yield from self._routes.make(rest)
        if self._metrics:
            yield make_metrics_route(self._metrics, rest.dataplane)

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Method]:
        """Return its methods (`server.grpc.Api`)."""
        return self._services.make(dataplane)


def make_offer(order: Order) -> Offer:
    """Return the models and their interface; LoadFailure and ValueError tell what is wrong.

    One base path is one model, unless it holds folders that are models each.
    """
    settings = make_settings(order)
    file = order.options.get("model_config_file")
    waits = make_waits(order.options)
    monitoring = order.options.get("monitoring_config_file")
    metrics = gather_metrics_path(Path(monitoring)) if monitoring else ""
    if file:
        path = Path(file)
        return _offer(_make_store(gather_config(path), settings, path.parent), waits, metrics, path)
    base = order.folder
    if not gather_versions(base):
        names = gather_models(base)
        if names:
            return _offer(_make_many(names, settings, base), waits, metrics)
    config = ModelConfig(order.model_name, base)
    return _offer(_make_store((config,), settings, base.parent), waits, metrics)


def make_settings(order: Order) -> Settings:
    """Return how models are loaded, of the server's options; ValueError names a wrong one."""
    options = order.options
    both = _whole(options, _BOTH)
    tags = tuple(tag for tag in options.get("saved_model_tags", "serve").split(",") if tag)
    engine = Engine(
        intra_threads=_whole(options, _THREADS) or both,
        inter_threads=_whole(options, _BETWEEN) or both,
        tags=tags,
        trust=order.trust,
    )
    rounds = _whole(options, "num_request_iterations_for_warmup", "rounds", 1)
    if not _truth(options, "enable_model_warmup", usual=True):
        rounds = 0
    if not _truth(options, "enable_batching"):
        return Settings(engine, warm_rounds=rounds)
    given = options.get("batching_parameters_file")
    limits, warnings = gather_limits(Path(given) if given else None)
    for warning in warnings:
        logger.warning("%s", warning)
    return Settings(engine, limits, rounds)


def make_waits(options: Mapping[str, str]) -> Waits:
    """Return how often folders and configuration are looked at; ValueError names a wrong number."""
    return Waits(
        _seconds(options, "file_system_poll_wait_seconds", 1),
        _seconds(options, "model_config_file_poll_wait_seconds", 0),
    )


def _offer(store: TensorflowStore, waits: Waits, metrics: str, config: Path | None = None) -> Offer:
    follower = Follower(store, waits, config)
    return Offer(store.repository, TensorflowApi(store, metrics), beside=follower.run)


def _make_store(configs: Sequence[ModelConfig], settings: Settings, root: Path) -> TensorflowStore:
    store = TensorflowStore(ModelRepository(), settings, root)
    store.register(configs)
    return store


def _make_many(names: list[str], settings: Settings, base: Path) -> TensorflowStore:
    """Make a model a folder; further ones are loaded by request (V2's repository extension)."""
    stores: list[TensorflowStore] = []  # the repository asks the store that it is made for

    def make(name: str) -> Model:
        if name not in gather_models(base):  # names come of the folder
            raise LoadFailure("ModelMissing", f'"{name}" is no model in the model folder')
        return stores[0].make(ModelConfig(name, base / name))

    store = TensorflowStore(ModelRepository(make), settings, base)
    stores.append(store)
    store.register([ModelConfig(name, base / name) for name in names])
    return store


def _truth(options: Mapping[str, str], name: str, *, usual: bool = False) -> bool:
    value = options.get(name)
    return usual if value is None else value.lower() in {"true", "1"}


def _seconds(options: Mapping[str, str], name: str, usual: int) -> float:
    """Return seconds; TensorFlow Serving's -1, not to look, is 0 here: the start looks."""
    value = options.get(name, str(usual))
    if not value.removeprefix("-").isdecimal():
        raise ValueError(f'--{name} is "{value}"; give whole seconds, 0 to look at the start only')
    return max(0.0, float(value))


def _whole(
    options: Mapping[str, str],
    name: str,
    what: str = "threads, 0: as the limits say",
    usual: int = 0,
) -> int:
    value = options.get(name, str(usual))
    if not value.isdecimal():
        raise ValueError(f'--{name} is "{value}"; give a number of {what}')
    return int(value)
