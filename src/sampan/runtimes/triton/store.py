"""The models of a repository as they come and go: Triton's model control modes.

Mode "none" loads all at the start; "explicit" loads what `--load-model` names, and then what
requests ask for; "poll" follows the folder (`polling`). Used on the loop's thread; models load on
workers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotFound, ModelNotReady
from sampan.runtimes.file_signs import Sign, gather_sign
from sampan.runtimes.tensor_specs import validate_arrays
from sampan.runtimes.triton.documents import from_json
from sampan.runtimes.triton.layout import Found, gather_models, gather_versions
from sampan.runtimes.triton.model import Settings, TritonModel
from sampan.runtimes.triton.schema import ROOT
from sampan.server.load_failure import LoadFailure, describe_failure
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.runtimes.triton")

MODES = ("none", "explicit", "poll")
LEAVING_SECONDS = 30.0
"""How long requests that began on a model have before it is stopped: the grace period of KServe's
server."""


class TritonStore:
    """A repository folder and the models that are loaded of it."""

    def __init__(self, root: Path, flat_name: str, settings: Settings, mode: str) -> None:
        self._root = root
        self._flat_name = flat_name
        self._settings = settings
        self._explicit = mode == "explicit"
        self._mode = mode
        self._reasons: dict[str, str] = {}
        self.repository = ModelRepository(self._make if self._explicit else None)

    def register(self, names: Sequence[str] | None) -> None:
        """Register what is to be loaded at the start; None: everything there is."""
        found = gather_models(self._root, self._flat_name)
        if not found and self._mode == "none":
            raise LoadFailure(
                "ModelMissing",
                f'model repository "{self._root}" holds no model; a model is a folder '
                "MODEL/VERSION/FILE in it, as in densenet/1/model.onnx",
            )
        for name in found if names is None else names:
            if name not in found:
                raise LoadFailure("ModelMissing", self._unknown(name))
            self.repository.update(TritonModel(found[name], self._settings))

    def _unknown(self, name: str) -> str:
        there = ", ".join(f'"{one}"' for one in gather_models(self._root, self._flat_name))
        return f'model "{name}" is not in the repository, which has {there or "none"}'

    def _make(self, name: str) -> TritonModel:
        return TritonModel(self._find(name), self._settings)

    def _find(self, name: str) -> Found:
        found = gather_models(self._root, self._flat_name).get(name)  # names come of the folder
        if found is None:
            raise InvalidInput(self._unknown(name))
        return found

    # -- control -----------------------------------------------------------------------------

    async def load(self, name: str, parameters: Mapping[str, Any], workers: Workers) -> None:
        """Load a model anew, and first what an ensemble is made of; InvalidInput tells why not."""
        self._validate_control()
        await self.replace(name, _override(parameters), workers)

    async def replace(self, name: str, override: JsonObject | None, workers: Workers) -> None:
        """Put a model of the folder in the place of the one of its name; InvalidInput as above."""
        found = self._find(name)
        model = TritonModel(found, self._settings, override)
        began = perf_counter()
        try:
            await workers.run(model.load)
        except Exception as error:
            failure = describe_failure(error)
            self._reasons[name] = failure.message
            raise InvalidInput(f'model "{name}" does not load: {failure.message}') from error
        for step in model.config.steps if model.config else ():
            if step.model not in self.repository.names():
                await self.replace(step.model, None, workers)
        await workers.run(model.warm_up)
        old = self.repository.get(name).model if name in self.repository.names() else None
        self.repository.update(model)
        self._reasons.pop(name, None)
        if old is not None:
            asyncio.get_running_loop().call_later(LEAVING_SECONDS, old.stop)
        logger.info('model "%s" is loaded in %.3f s', name, perf_counter() - began)

    def unload(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Unload a model, with `unload_dependents` the models of its steps too."""
        self._validate_control()
        self._find(name)
        if name not in self.repository.names():
            return
        model = self.repository.get(name).model
        self.repository.unload(name)
        self._reasons[name] = "unloaded"
        if parameters.get("unload_dependents") and isinstance(model, TritonModel) and model.config:
            for step in model.config.steps:
                self.unload(step.model, parameters)

    def drop(self, name: str) -> None:
        """Forget a model whose folder is gone; requests that began on it are still answered."""
        self._reasons.pop(name, None)
        if name in self.repository.names():
            old = self.repository.take(name)
            asyncio.get_running_loop().call_later(LEAVING_SECONDS, old.stop)

    def gather_signs(self) -> dict[str, Sign]:
        """Return what tells that a model of the folder has changed, by its name."""
        found = gather_models(self._root, self._flat_name)
        return {name: gather_sign(one.flat or one.folder) for name, one in found.items()}

    def _validate_control(self) -> None:
        if not self._explicit:
            raise InvalidInput(
                "models are loaded at the start only (explicit model load / unload is not "
                "allowed); start the server with --model-control-mode=explicit"
            )

    def index(self, *, ready_only: bool) -> list[JsonObject]:
        """Return a row a model and version: name, version, state, reason (Triton's states)."""
        rows: list[JsonObject] = []
        for name, found in gather_models(self._root, self._flat_name).items():
            model = self._loaded(name)
            if model is not None and model.ready:
                rows += [_row(name, version, "READY") for version in model.versions]
            elif not ready_only:
                entry = self.repository.get(name) if model is not None else None
                reason = (entry.reason if entry else "") or self._reasons.get(name, "")
                versions = gather_versions(found)[-1:] if reason else []
                rows += [_row(name, str(v), "UNAVAILABLE", reason) for v in versions] or [
                    {"name": name}
                ]
        return rows

    # -- models ------------------------------------------------------------------------------

    def _loaded(self, name: str) -> TritonModel | None:
        if name not in self.repository.names():
            return None
        model = self.repository.get(name).model
        return model if isinstance(model, TritonModel) else None

    def get(self, name: str) -> TritonModel:
        """Return a registered model; ModelNotFound."""
        model = self._loaded(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    def get_ready(self, name: str) -> TritonModel:
        """Return a model that answers; ModelNotFound, ModelNotReady."""
        model = self.get(name)
        if not model.ready:
            raise ModelNotReady(name, self.repository.get(name).reason or None)
        return model

    def all_ready(self) -> list[TritonModel]:
        """Return every model that answers."""
        models = [self.get(name) for name in self.repository.names()]
        return [model for model in models if model.ready]

    def infer(
        self, name: str, version: str, given: Mapping[str, Any], outputs: Sequence[str]
    ) -> Mapping[str, Any]:
        """Ask a model for another one, on this thread; what does not fit is told of that model."""
        model = self.get_ready(name)
        assert model.config is not None  # noqa: S101  # it is ready
        validate_arrays(given, model.config.inputs)
        chosen = model.select_version(version)
        wanted = list(outputs) or [spec.name for spec in model.config.outputs]
        return model.infer_arrays(chosen, given, wanted, perf_counter())


def _row(name: str, version: str, state: str, reason: str = "") -> JsonObject:
    return {"name": name, "version": version, "state": state, "reason": reason}


def _override(parameters: Mapping[str, Any]) -> JsonObject | None:
    """Return the configuration that a load request brings; None where it brings none."""
    files = [name for name in parameters if name.startswith("file:")]
    if files:
        raise InvalidInput(
            f'"{files[0]}": files are not taken with a request; put them into the model repository'
        )
    text = parameters.get("config")
    if text is None:
        return None
    try:
        return from_json(ROOT, orjson.loads(text))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise InvalidInput(
            f'"config" is no JSON ({error}); send the model\'s configuration'
        ) from None
