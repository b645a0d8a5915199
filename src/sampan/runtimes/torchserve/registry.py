"""The models of a store by name: found, told of, registered and unregistered while serving.

As with TorchServe since 0.11.1, models come and go by request only where the operator has allowed
it (`--enable-model-api`, or `enable_model_api=true` of config.properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotFound, ModelNotReady, ServingError
from sampan.runtimes.torchserve.archive import read_manifest
from sampan.runtimes.torchserve.batches import Batch
from sampan.runtimes.torchserve.handler import Handler
from sampan.runtimes.torchserve.model import ArchiveModel
from sampan.runtimes.torchserve.scaling import validate_initial, validate_workers
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
    """This version of a model is registered (TorchServe: 409)."""

    status = 409

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f'version "{version}" of model "{name}" is registered already; unregister it first'
        )


class DefaultVersion(ServingError):
    """The default version is not taken away while there are others (TorchServe: 403)."""

    status = 403

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f'version "{version}" of model "{name}" is its default; make another one the default '
            f"first (PUT /models/{name}/VERSION/set-default)"
        )


@dataclass(frozen=True, slots=True)
class Store:
    """Where archives are, whether they are trusted, and whether models may come and go."""

    folder: Path
    trust: bool = False
    open: bool = False
    batches: Mapping[tuple[str, str], Batch] = field(default_factory=dict)
    """What config.properties says of batches, by model and version."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What is asked to be registered; an empty name is the archive's own."""

    url: str
    name: str = ""
    batch: Batch | None = None
    workers: int = 0


class Registry:
    """The archives that are served. Used on the loop's thread."""

    def __init__(self, repository: ModelRepository, store: Store) -> None:
        self.repository = repository
        self._store = store

    def archives(self) -> list[ArchiveModel]:
        """Return every archive, in the order of registration."""
        models = [self.repository.get(name).model for name in self.repository.names()]
        return [model for model in models if isinstance(model, ArchiveModel)]

    def find(self, name: str) -> ArchiveModel:
        """Return a model by name; ModelNotFound."""
        for model in self.archives():
            if model.name == name:
                return model
        raise ModelNotFound(name)

    def register_at_start(self, handler: Handler, *, default: bool = False) -> None:
        """Take in a version that is loaded with its model; LoadFailure where it is there twice."""
        self._settle_batch(handler)
        name, version = handler.name, handler.manifest.version
        if name not in self.repository.names():
            self.repository.update(ArchiveModel(handler, trust=self._store.trust))
        model = self.find(name)
        if model.versions.get(version, handler) is not handler:
            raise LoadFailure(
                "ModelAmbiguous",
                f'two archives are version "{version}" of model "{name}"; rename one with '
                "--models, or give it another version",
            )
        model.add(handler)
        if default:
            model.default = version

    def _settle_batch(self, handler: Handler) -> None:
        said = self._store.batches.get((handler.name, handler.manifest.version))
        if said is not None and handler.manifest.batch is None:
            handler.set_batch(said)

    def describe(self, name: str, version: str = "") -> list[JsonObject]:
        """Return what is told of a version, the default or "all" (TorchServe, "Describe model")."""
        model = self.find(name)
        handlers = list(model.versions.values()) if version == "all" else [model.select(version)]
        return [_described(handler, default=model.default) for handler in handlers]

    def list(self, limit: int = 0, token: int = 0) -> JsonObject:
        """Return a page of the models (TorchServe, "List models")."""
        if limit < 0 or token < 0:
            raise InvalidInput(
                f"limit {limit} and next_page_token {token} are counts; send 0 or up"
            )
        end = token + (limit or PAGE)
        rows = [
            {"modelName": model.name, "modelUrl": model.select().archive.name}
            for model in self.archives()
        ]
        more = {"nextPageToken": str(end)} if end < len(rows) else {}
        return {**more, "models": rows[token:end]}

    async def register(self, wanted: Registration, workers: Workers) -> str:
        """Load an archive of the store and serve it; return TorchServe's words for that."""
        self._validate_open()
        if not wanted.url:
            raise InvalidInput("the url is empty; name an archive of the model store")
        validate_initial(wanted.workers)
        try:
            path = find_archive(self._store.folder, wanted.url)
            manifest = read_manifest(path)
        except LoadFailure as failure:
            raise InvalidInput(str(failure)) from failure
        handler = Handler(wanted.name or manifest.name, path, manifest, wanted.batch)
        self._settle_batch(handler)
        name, version = handler.name, manifest.version
        self._validate_new(name, version)
        try:
            await workers.run(partial(handler.load, trust=self._store.trust))
        except Exception as error:
            raise ModelNotReady(name, describe_failure(error).message) from error
        self._validate_new(name, version)  # somebody may have been quicker
        if name in self.repository.names():
            self.find(name).add(handler)
        else:
            model = ArchiveModel(handler, trust=self._store.trust)
            model.load()
            self.repository.update(model)
        return f'Model "{name}" Version: {version} registered with 1 initial workers'

    def _validate_open(self) -> None:
        if not self._store.open:
            raise NotAllowed

    def _validate_new(self, name: str, version: str) -> None:
        if name in self.repository.names() and version in self.find(name).versions:
            raise Conflict(name, version)

    def set_default(self, name: str, version: str) -> str:
        """Ask another version where none is named; return TorchServe's words for that."""
        self._validate_open()
        model = self.find(name)
        model.default = model.select(version).manifest.version
        return f'Default version successfully updated for model "{name}" to "{version}"'

    def scale(self, name: str, version: str, numbers: Mapping[str, int]) -> str:
        """Return TorchServe's words for a version having its one worker; InvalidInput for another
        number of them.
        """
        validate_workers(numbers)
        self.find(name).select(version)
        return f"Workers scaled to 1 for model: {name}"

    def unregister(self, name: str, version: str = "") -> str:
        """Stop and forget a version, the default where none is named, with the last its model.

        Returns TorchServe's words for that.
        """
        self._validate_open()
        model = self.find(name)
        chosen = model.select(version).manifest.version
        if len(model.versions) == 1:
            self.repository.unload(name)
        elif chosen == model.default:
            raise DefaultVersion(name, chosen)
        else:
            model.drop(chosen)
        return f'Model "{name}" unregistered'


def _described(handler: Handler, *, default: str) -> JsonObject:
    return {
        "modelName": handler.name,
        "modelVersion": handler.manifest.version,
        "modelUrl": handler.archive.name,
        "runtime": "python",
        "defaultVersion": handler.manifest.version == default,
        "batchSize": handler.batch.size,
        "maxBatchDelay": round(handler.batch.delay * 1000),
        "workers": [{"id": "0", "status": "READY" if handler.ready else "UNLOADING"}],
    }
