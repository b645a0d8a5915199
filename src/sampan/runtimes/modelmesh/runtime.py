"""ModelMesh: the runtime's declaration, and what it makes of a register."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS, Runtime
from sampan.runtimes.modelmesh.following import Follower
from sampan.runtimes.modelmesh.formats import make_model
from sampan.runtimes.serving import Offer, Order
from sampan.runtimes.sklearn import RUNTIME as SKLEARN
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Method
from sampan.server.job import Inference
from sampan.server.mesh_repository import MeshRepository
from sampan.server.rest import Handler, Rest
from sampan.server.routes import Route as Pattern

NAME_HEADER, ID_HEADER = "mm-vmodel-id", "mm-model-id"

RUNTIME = Runtime(
    name="modelmesh",
    server_type="",
    formats=(),
    protocol_versions=("grpc-v2",),
    images=(),
    model="sampan.runtimes.mlserver.native:NativeModel",
    extensions=(),
    requirements=(*SERVER_REQUIREMENTS, "scikit-learn>=1.4", "joblib>=1.4", "pandas>=2.2",
                  "skops>=0.13", "xgboost>=2", "lightgbm>=4"),
    package="",
    preload=(*SKLEARN.preload, "sampan.runtimes.modelmesh.runtime"),
    entry_arguments=("--runtime=modelmesh", "--multi_model", "--grpc_port=0"),
    multi_model=False,
    forks=False,
    server="sampan.runtimes.modelmesh.runtime:make_offer",
)  # fmt: skip
"""It stands for no image that a person names: the platform puts it in the place of a multi-model
runtime's containers (`sampan.plan.modelmesh_host`)."""
IMAGE = "sampan/modelmeshserver"


class MeshApi:
    """What ModelMesh's interface has beside V2: names in the metadata of calls."""

    def __init__(self, repository: MeshRepository) -> None:
        self._repository = repository

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return no routes: REST is V2's (`server.rest.Api`)."""
        metrics = rest.dataplane.metrics
        metrics.more = self._repository.metrics.lines
        self._repository.counts = metrics.of
        return ()

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Method]:
        """Return no methods: gRPC is V2's (`server.grpc.Api`)."""
        del dataplane
        return {}

    def address(self, inference: Inference) -> None:
        """Set the model that the metadata name, before the one of the message (ModelMesh,
        addressing by clients); InvalidInput where they name two.
        """
        headers = inference.headers
        name, model_id = headers.get(NAME_HEADER, ""), headers.get(ID_HEADER, "")
        if name and model_id:
            raise InvalidInput(
                f'the metadata name "{name}" ({NAME_HEADER}) and "{model_id}" ({ID_HEADER}); '
                "give one of them"
            )
        inference.model_name = name or model_id or inference.model_name


def make_offer(order: Order) -> Offer:
    """Return the models of a register, none of them loaded."""
    repository = MeshRepository(make_model)
    follower = Follower(order.folder, repository)
    follower.read()
    return Offer(repository, MeshApi(repository), beside=follower.run)
