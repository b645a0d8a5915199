"""TorchServe: the runtime's declaration, and the models of a store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    Container,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.serving import Offer, Order
from sampan.runtimes.torchserve.archive import Manifest, read_manifest
from sampan.runtimes.torchserve.handler import Handler
from sampan.runtimes.torchserve.registry import Registry, Store
from sampan.runtimes.torchserve.routes import TorchServeApi
from sampan.runtimes.torchserve.settings import (
    is_open,
    make_warnings,
    parse_properties,
    read_batches,
    select_archives,
)
from sampan.server.repository import ModelRepository

logger = logging.getLogger("sampan.runtimes.torchserve")

RUNTIME = Runtime(
    name="kserve-torchserve",
    server_type="torchserve",
    formats=(ModelFormat("pytorch", "1", priority=2, auto_select=True),),
    protocol_versions=("v1", "v2", "grpc-v2"),
    images=("pytorch/torchserve-kfs", "pytorch/torchserve", "kserve-torchserve"),
    model="sampan.runtimes.torchserve.model:ArchiveModel",
    extensions=(".mar",),
    requirements=(
        *SERVER_REQUIREMENTS,
        "torch>=2.6",
        "torchserve>=0.12",
        "torchvision>=0.21",
        "captum>=0.8",
        "pyyaml>=6",
        "pillow>=10",
    ),
    package="",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.torchserve.runtime"),
    entry_arguments=("--runtime=torchserve", "--grpc_port=0"),
    container_arguments=(
        "torchserve",
        "--start",
        "--model-store=/mnt/models/model-store",
        "--ts-config=/mnt/models/config/config.properties",
    ),
    arguments="sampan.runtimes.torchserve.arguments:translate",
    server="sampan.runtimes.torchserve.runtime:make_offer",
    container=Container(
        image="pytorch/torchserve-kfs:0.9.0",
        env=(("TS_SERVICE_ENVELOPE", "{{.Labels.serviceEnvelope}}"),),
        run_as_user=1000,
        prometheus_port="8082",
    ),
)


def make_offer(order: Order) -> Offer:
    """Return the models of a store and TorchServe's interface; LoadFailure tells what is wrong."""
    properties = _read_properties(order.options.get("ts-config", ""))
    for warning in make_warnings(properties):
        logger.warning("%s", warning)
    registry = Registry(
        ModelRepository(),
        Store(
            order.folder,
            order.trust,
            is_open(properties, order.options.get("enable-model-api", "")),
            read_batches(properties),
        ),
    )
    for wanted in select_archives(order.folder, properties, order.options.get("models", "")):
        manifest = read_manifest(wanted.archive)
        name = wanted.name or manifest.name
        for warning in _warnings(name, manifest):
            logger.warning("%s", warning)
        handler = Handler(name, wanted.archive, manifest, wanted.batch)
        registry.register_at_start(handler, default=wanted.default)
    return Offer(registry.repository, TorchServeApi(registry))


def _warnings(name: str, manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each thing that an archive asks for and does not get."""
    if manifest.requirements:
        yield (
            f'"{manifest.requirements}" of model "{name}" is not installed: packages are those of '
            "the environment"
        )
    yield from manifest.warnings


def _read_properties(path: str) -> dict[str, str]:
    """Return config.properties; nothing where no file is named. OSError says which is missing."""
    return parse_properties(Path(path).read_text("utf-8")) if path else {}
