"""The models of a server as they come and go, found by what requests name. Used on the loop's
thread; models load on workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotReady
from sampan.runtimes.tensorflow.config import ModelConfig, from_wire, make_configs
from sampan.runtimes.tensorflow.messages import ModelSpec
from sampan.runtimes.tensorflow.model import ServableNotFound, TensorflowModel
from sampan.runtimes.tensorflow.version import Settings, State
from sampan.server.load_failure import describe_failure
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.runtimes.tensorflow")

_CODES = {
    "ModelMissing": 5,
    "ModelUntrusted": 7,
    "ModelIncompatible": 9,
    "ModelAmbiguous": 9,
    "ModelCorrupt": 15,
    "OutOfMemory": 8,
}
_UNKNOWN = 2
LEAVING_SECONDS = 30.0
"""How long requests that began on a model or version have before it is closed: the grace period of
KServe's server."""
CODE_NAMES = {
    0: "OK", 2: "UNKNOWN", 5: "NOT_FOUND", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION", 15: "DATA_LOSS",
}  # fmt: skip
"""The codes of a StatusProto that a version's failure becomes (`error_codes.proto`)."""

STATES = {"UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
"""The numbers of ModelVersionStatus.State."""


class TensorflowStore:
    """The models, and the folder that all of them lie in."""

    def __init__(self, repository: ModelRepository, settings: Settings, root: Path) -> None:
        self.repository = repository
        self._settings = settings
        self._root = root
        self._changing = asyncio.Lock()

    def make(self, config: ModelConfig) -> TensorflowModel:
        """Return a model, not loaded."""
        return TensorflowModel(config, self._settings)

    def register(self, configs: Sequence[ModelConfig]) -> None:
        """Register what is to be loaded at the start."""
        for config in configs:
            self.repository.update(self.make(config))

    # -- finding -----------------------------------------------------------------------------

    def find(self, spec: ModelSpec) -> TensorflowModel:
        """Return a registered model; ServableNotFound."""
        if spec.name in self.repository.names():
            model = self.repository.get(spec.name).model
            if isinstance(model, TensorflowModel):
                return model
        raise ServableNotFound(f"Servable not found for request: {spec}")

    def select(self, spec: ModelSpec) -> tuple[TensorflowModel, int]:
        """Return a model that answers and the version that is asked; ServingError else."""
        model = self.find(spec)
        if not model.ready:
            raise ModelNotReady(spec.name, self.repository.get(spec.name).reason or None)
        version = self._number(model, spec)
        number = model.newest if version is None else version
        model.select(number)
        return model, number

    def _number(self, model: TensorflowModel, spec: ModelSpec) -> int | None:
        if not spec.label:
            return spec.version
        number = model.config.labels.get(spec.label)
        if number is None:
            there = ", ".join(f'"{label}"' for label in model.config.labels) or "none"
            raise InvalidInput(
                f"Unrecognized servable version label: {spec.label}; the model has {there}"
            )
        return number

    def statuses(self, spec: ModelSpec) -> dict[int, State]:
        """Return the state of each version, or of the one asked; ServableNotFound."""
        known = spec.name in self.repository.names()
        model = self.find(spec) if known else None
        states = model.states if model is not None else {}
        if model is None or not states:
            raise ServableNotFound(f"Could not find any versions of model {spec.name}")
        number = self._number(model, spec)
        if number is None:
            return dict(sorted(states.items(), reverse=True))
        if number not in states:
            raise ServableNotFound(f"Could not find version {number} of model {spec.name}")
        return {number: states[number]}

    # -- changing ----------------------------------------------------------------------------

    async def reload(self, document: JsonObject, workers: Workers) -> tuple[int, str]:
        """Serve what a ModelServerConfig lists, and nothing else; return a code and its words.

        A model that does not load leaves the one of its name as it was.
        """
        try:
            configs = make_configs(from_wire(document), self._root)
        except ValueError as error:
            return 3, str(error)
        return await self.serve(configs, workers)

    async def serve(self, configs: Sequence[ModelConfig], workers: Workers) -> tuple[int, str]:
        """Serve these models and nothing else; return a code and its words."""
        async with self._changing:
            for name in set(self.repository.names()) - {config.name for config in configs}:
                self.repository.unload(name)
            failed = (0, "")
            for config in configs:
                problem = await self._replace(config, workers)
                failed = problem if problem[0] else failed
            return failed

    async def follow(self, workers: Workers) -> None:
        """Serve the versions that each model's folder has now."""
        async with self._changing:
            for name in self.repository.names():
                entry = self.repository.get(name)
                model = entry.model
                if isinstance(model, TensorflowModel):
                    await self._follow(model, workers)
                    entry.reason = "" if model.ready else entry.reason

    async def _follow(self, model: TensorflowModel, workers: Workers) -> None:
        before = set(model.versions)
        gone = await workers.run(model.follow)
        came = sorted(set(model.versions) - before)
        if came or gone:
            logger.info('model "%s": versions %s came, %s go', model.name, came, gone)
        if gone:
            loop = asyncio.get_running_loop()
            loop.call_later(LEAVING_SECONDS, model.let_go, gone)

    async def _replace(self, config: ModelConfig, workers: Workers) -> tuple[int, str]:
        """Load a model anew and put it in the old one's place."""
        model, began = self.make(config), perf_counter()
        try:
            await workers.run(model.load)
            _validate_labels(model)
        except Exception as error:  # noqa: BLE001  # told in the answer
            failure = describe_failure(error)
            model.stop()
            logger.warning("model %s does not load: %s", config.name, failure.message)
            return _CODES.get(failure.reason, _UNKNOWN), failure.message
        known = config.name in self.repository.names()
        old = self.repository.get(config.name).model if known else None
        self.repository.update(model)
        if old is not None:
            asyncio.get_running_loop().call_later(LEAVING_SECONDS, old.stop)
        logger.info('model "%s" is loaded in %.3f s', config.name, perf_counter() - began)
        return 0, ""


def _validate_labels(model: TensorflowModel) -> None:
    """Raise InvalidInput where a label names a version that does not serve."""
    for label, number in model.config.labels.items():
        if number not in model.versions:
            raise InvalidInput(
                f'label "{label}" of model "{model.name}" names version {number}, which does not '
                f"serve (there: {', '.join(map(str, model.versions))})"
            )


def make_status(number: int, state: State) -> JsonObject:
    """Return a ModelVersionStatus with its numbers."""
    failure = state.failure
    code = 0 if failure is None else _CODES.get(failure.reason, _UNKNOWN)
    return {
        "version": number,
        "state": STATES[state.name],
        "status": {"error_code": code, "error_message": "" if failure is None else failure.message},
    }


def show_status(number: int, state: State) -> JsonObject:
    """Return a ModelVersionStatus as JSON has it: names, and 64 bits as text."""
    made = make_status(number, state)
    code = made["status"]["error_code"]
    return {
        "version": str(number),
        "state": state.name,
        "status": {**made["status"], "error_code": CODE_NAMES[code]},
    }
