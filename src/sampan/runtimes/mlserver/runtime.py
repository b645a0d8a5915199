"""MLServer: the runtime's declaration, and the models of a project."""

from __future__ import annotations

import logging

from sampan.runtimes.declaration import SERVER_PRELOAD, SERVER_REQUIREMENTS, Runtime
from sampan.runtimes.mlserver.custom import CustomModel
from sampan.runtimes.mlserver.handlers import HandlersApp
from sampan.runtimes.mlserver.project import Project
from sampan.runtimes.mlserver.routes import MLServerApi
from sampan.runtimes.mlserver.settings import gather_server_warnings
from sampan.runtimes.serving import Offer, Order
from sampan.server.repository import ModelRepository

logger = logging.getLogger("sampan.runtimes.mlserver")

RUNTIME = Runtime(
    name="kserve-mlserver",
    server_type="mlserver",
    formats=(),
    protocol_versions=("v2",),
    images=("seldonio/mlserver", "mlserver", "kserve-mlserver"),
    model="sampan.runtimes.mlserver.native:NativeModel",
    extensions=("model-settings.json",),
    requirements=(
        *SERVER_REQUIREMENTS,
        "mlserver>=1.6,<2",
        "scikit-learn>=1.4",
        "joblib>=1.4",
        "pyyaml>=6",
    ),
    package="",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.mlserver.runtime"),
    entry_arguments=("--runtime=mlserver", "--grpc_port=0"),
    arguments="sampan.runtimes.mlserver.arguments:translate",
    server="sampan.runtimes.mlserver.runtime:make_offer",
)
"""No format is its own: a service or a ServingRuntime that names the image is served by it."""


def make_offer(order: Order) -> Offer:
    """Return the models of a project; LoadFailure tells what is wrong with its settings."""
    repository, project = ModelRepository(), Project(order)
    for warning in gather_server_warnings(order.folder):
        logger.warning("%s", warning)
    models = project.gather()
    for model in models:
        repository.update(model)
    own = any(isinstance(model, CustomModel) for model in models)
    app = HandlersApp(repository) if own else None
    return Offer(repository, MLServerApi(repository, project.find), app=app)
