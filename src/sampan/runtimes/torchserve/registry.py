"""The models of a store by name: found, told of, registered and unregistered while serving.

As with TorchServe since 0.11.1, models come and go by request only where the operator has allowed
it (`--enable-model-api`, or `enable_model_api=true` of config.properties).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotFound, ModelNotReady, ServingError
from sampan.runtimes.torchserve.archive import read_manifest
from sampan.runtimes.torchserve.model import ArchiveModel
from sampan.runtimes.torchserve.settings import find_archive
from sampan.server.load_failure import LoadFailure, describe_failure
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers

PAGE = 100
"""How many models a page of the list has, unless `limit` says so."""


class NotAllowed(ServingError):
    """Asked to change what is served, which nobody has allowed (TorchServe: 405)."""

    status = 405

    def __init__(self) -> None:
        super().__init__(
            "models are not changed by request here; start with --enable-model-api, or set "
            "enable_model_api=true in config.properties"
        )


class Conflict(ServingError):
    """A model of this name is registered (TorchServe: 409)."""

    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f'model "{name}" is registered already; unregister it first')


@dataclass(frozen=True, slots=True)
class Store:
    """Where archives are, whether they are trusted, and whether models may come and go."""

    folder: Path
    trust: bool = False
    open: bool = False


class Registry:
    """The archives that are served. Used on the loop's thread."""

    def __init__(self, repository: ModelRepository, store: Store) -> None:
        self.repository = repository
        self._store = store

    def archives(self) -> list[ArchiveModel]:
        """Return every archive, in the order of registration."""
        models = [self.repository.get(name).model for name in self.repository.names()]
        return [model for model in models if isinstance(model, ArchiveModel)]

    def find(self, name: str, version: str = "") -> ArchiveModel:
        """Return a model by name, and version where one is asked for; ModelNotFound."""
        for model in self.archives():
            if model.name == name and version in {"", model.manifest.version}:
                return model
        raise ModelNotFound(f"{name} with version {version}" if version else name)

    def describe(self, name: str, version: str = "") -> list[JsonObject]:
        """Return what is told of a model (TorchServe, "Describe model")."""
        model = self.find(name, "" if version == "all" else version)
        worker = {"id": "0", "status": "READY" if model.ready else "UNLOADING"}
        return [
            {
                "modelName": model.name,
                "modelVersion": model.manifest.version,
                "modelUrl": model.archive.name,
                "runtime": "python",
                "batchSize": 1,
                "workers": [worker],
            }
        ]

    def list(self, limit: int = 0, token: int = 0) -> JsonObject:
        """Return a page of the models (TorchServe, "List models")."""
        if limit < 0 or token < 0:
            raise InvalidInput(
                f"limit {limit} and next_page_token {token} are counts; send 0 or up"
            )
        end = token + (limit or PAGE)
        rows = [
            {"modelName": model.name, "modelUrl": model.archive.name} for model in self.archives()
        ]
        more = {"nextPageToken": str(end)} if end < len(rows) else {}
        return {**more, "models": rows[token:end]}

    async def register(self, url: str, name: str, workers: Workers) -> str:
        """Load an archive of the store and serve it; return TorchServe's words for that."""
        if not self._store.open:
            raise NotAllowed
        if not url:
            raise InvalidInput("the url is empty; name an archive of the model store")
        try:
            path = find_archive(self._store.folder, url)
            manifest = read_manifest(path)
            model = ArchiveModel(name or manifest.name, path, manifest, trust=self._store.trust)
        except LoadFailure as failure:
            raise InvalidInput(str(failure)) from failure
        if model.name in self.repository.names():
            raise Conflict(model.name)
        try:
            await workers.run(model.load)
        except Exception as error:
            raise ModelNotReady(model.name, describe_failure(error).message) from error
        self.repository.update(model)
        return f'Model "{model.name}" Version: {manifest.version} registered with 1 initial workers'

    def unregister(self, name: str, version: str = "") -> str:
        """Stop and forget a model; return TorchServe's words for that."""
        if not self._store.open:
            raise NotAllowed
        model = self.find(name, version)
        self.repository.unload(model.name)
        return f'Model "{model.name}" unregistered'
