"""TensorFlow: the runtime's declaration, and what its arguments and folder become."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
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
from sampan.runtimes.tensorflow.layout import gather_models, gather_versions
from sampan.runtimes.tensorflow.model import Settings
from sampan.runtimes.tensorflow.routes import TensorflowRoutes
from sampan.runtimes.tensorflow.saved_model import Engine
from sampan.runtimes.tensorflow.services import TensorflowServices
from sampan.runtimes.tensorflow.store import TensorflowStore
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

    def __init__(self, store: TensorflowStore) -> None:
        self._routes = TensorflowRoutes(store)
        self._services = TensorflowServices(store)

    def routes(self, rest: Rest) -> Iterable[tuple[Route, Handler]]:
        """Return its routes (`server.rest.Api`)."""
        return self._routes.make(rest)

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Method]:
        """Return its methods (`server.grpc.Api`)."""
        return self._services.make(dataplane)


def make_offer(order: Order) -> Offer:
    """Return the models and their interface; LoadFailure and ValueError tell what is wrong.

    One base path is one model, unless it holds folders that are models each.
    """
    settings = make_settings(order)
    file = order.options.get("model_config_file")
    if file:
        return _offer(gather_config(Path(file)), settings, Path(file).parent)
    base = order.folder
    if not gather_versions(base):
        names = gather_models(base)
        if names:
            return _offer_many(names, settings, base)
    return _offer((ModelConfig(order.model_name, base),), settings, base.parent)


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
    if options.get("enable_batching", "false").lower() not in {"true", "1"}:
        return Settings(engine)
    given = options.get("batching_parameters_file")
    limits, warnings = gather_limits(Path(given) if given else None)
    for warning in warnings:
        logger.warning("%s", warning)
    return Settings(engine, limits)


def _offer(configs: tuple[ModelConfig, ...], settings: Settings, root: Path) -> Offer:
    store = TensorflowStore(ModelRepository(), settings, root)
    store.register(configs)
    return Offer(store.repository, TensorflowApi(store))


def _offer_many(names: list[str], settings: Settings, root: Path) -> Offer:
    """Offer a model a folder; further ones are loaded by request (V2's repository extension)."""
    stores: list[TensorflowStore] = []  # the repository asks the store that it is made for

    def make(name: str) -> Model:
        if name not in gather_models(root):  # names come of the folder
            raise LoadFailure("ModelMissing", f'"{name}" is no model in the model folder')
        return stores[0].make(ModelConfig(name, root / name))

    store = TensorflowStore(ModelRepository(make), settings, root)
    stores.append(store)
    store.register([ModelConfig(name, root / name) for name in names])
    return Offer(store.repository, TensorflowApi(store))


def _whole(options: Mapping[str, str], name: str) -> int:
    value = options.get(name, "0")
    if not value.isdecimal():
        raise ValueError(f'--{name} is "{value}"; give a number of threads, 0: as the limits say')
    return int(value)
