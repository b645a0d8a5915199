"""BentoML: the runtime's declaration, and what is served of a Bento."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from sampan.runtimes.bentoml.app import BentoApp
from sampan.runtimes.bentoml.importing import import_service
from sampan.runtimes.bentoml.life import BentoModel, WatchedBentoModel, select_lone
from sampan.runtimes.bentoml.model import ApiModel, AwaitedApiModel
from sampan.runtimes.bentoml.plain import is_async, select_reason
from sampan.runtimes.bentoml.routes import BentoApi
from sampan.runtimes.bentoml.service import Service
from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    Container,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.serving import Offer, Order
from sampan.server.load_failure import LoadFailure
from sampan.server.repository import ModelRepository

logger = logging.getLogger("sampan.runtimes.bentoml")

RUNTIME = Runtime(
    name="sampan-bentoserver",
    server_type="bentoml",
    formats=(ModelFormat("bentoml", "1", priority=1, auto_select=True),),
    protocol_versions=("v1",),
    images=("sampan/bentoserver",),
    model="sampan.runtimes.bentoml.life:BentoModel",
    extensions=("bento.yaml", "bentofile.yaml"),
    requirements=(*SERVER_REQUIREMENTS, "bentoml>=1.4,<1.5"),
    package="bentoml",
    preload=(
        *SERVER_PRELOAD,
        "bentoml",
        "_bentoml_impl.server.app",
        "sampan.runtimes.bentoml.runtime",
    ),
    entry_arguments=("--runtime=bentoml", "--grpc_port=0"),
    multi_model=False,
    forks=False,
    arguments="sampan.runtimes.bentoml.arguments:translate",
    server="sampan.runtimes.bentoml.runtime:make_offer",
    container=Container(),
)


def make_offer(order: Order) -> Offer:
    """Return the service of a folder, imported but not made; LoadFailure tells what is wrong."""
    if not order.trust:
        raise LoadFailure(
            "ModelUntrusted",
            f'the Bento of "{order.model_name}" is code, which runs only where it is trusted; if '
            "you trust where it comes from, set the annotation "
            'serving.sampan.dev/trust: "true" (or start the server with --trust)',
        )
    service = import_service(order.folder.resolve(), order.options.get("service", ""))
    for warning in make_warnings(service.declared):
        logger.warning("%s", warning)
    apis = dict(_plain_apis(order.model_name, service))
    life = _make_life(order.model_name, service, tuple(apis.values()))
    repository = ModelRepository()
    for model in (life, *apis.values()):
        repository.update(model)
    app = BentoApp(service)
    return Offer(repository, BentoApi(life, apis, app), strict=True, app=app)


def _make_life(name: str, service: Service, apis: tuple[ApiModel, ...]) -> BentoModel:
    """Return the model that is the service, and that V1 asks where it can mean one API only."""
    watched = hasattr(service.declared.inner, "__is_ready__")
    kind = WatchedBentoModel if watched else BentoModel
    return kind(name, service, select_lone(service.declared, apis))


def _plain_apis(name: str, service: Service) -> Iterator[tuple[str, ApiModel]]:
    """Yield the path and the model of each API that needs no application of BentoML's."""
    declared = service.declared
    cors = bool(service.factory.enable_access_control)
    for method in declared.apis.values():
        reason = select_reason(declared, method, cors=cors)
        if reason:
            logger.info('API "%s" is answered by BentoML itself: %s', method.name, reason)
            continue
        kind = AwaitedApiModel if is_async(method) else ApiModel
        path = f"{service.prefix}{method.route}"
        yield path, kind(f"{name}/{method.name}", service, method)


def make_warnings(declared: Any) -> list[str]:
    """Return a sentence for each setting of a service that has no effect here."""
    config = declared.config
    found = []
    if config.get("workers") not in {None, 1}:
        found.append(
            f'"workers" {config["workers"]!r} of service "{declared.name}" is not honoured: a '
            "process serves one instance; raise minReplicas"
        )
    if declared.dependencies:
        names = ", ".join(sorted(declared.all_services().keys() - {declared.name}))
        found.append(f'services that "{declared.name}" depends on run in its own process: {names}')
    if config.get("resources"):
        found.append(
            f'"resources" of service "{declared.name}" are not honoured: those of the container are'
        )
    return found
