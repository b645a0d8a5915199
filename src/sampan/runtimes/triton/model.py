"""A model of a Triton repository: its versions behind one name, asked over V2."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotFound
from sampan.protocol.tensors import InferRequest, InferResponse
from sampan.runtimes.tensor_answers import make_answer
from sampan.runtimes.tensor_specs import gather_arrays, make_zeros, select_outputs
from sampan.runtimes.triton.autoconfig import DEFAULT_MAX_BATCH_SIZE, complete, validate
from sampan.runtimes.triton.backends import Backend, Source, make_backend
from sampan.runtimes.triton.classification import classify
from sampan.runtimes.triton.config import ModelConfig, make_config, select_versions
from sampan.runtimes.triton.decoupled import mark, wants_end
from sampan.runtimes.triton.ensemble import Ensemble, validate_models
from sampan.runtimes.triton.layout import (
    Found,
    gather_models,
    gather_versions,
    guess_backend,
    read_document,
    version_path,
)
from sampan.runtimes.triton.sequences import Sequences, Turn, read_step
from sampan.runtimes.triton.shared_memory import SharedMemory, uses_regions
from sampan.runtimes.triton.statistics import Run, Statistics
from sampan.runtimes.triton.warmup import make_requests
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model

logger = logging.getLogger("sampan.runtimes.triton")


@dataclass(frozen=True, slots=True)
class Settings:
    """How models of a repository are loaded. `infer` asks one of them by name and version."""

    trust: bool = False
    strict: bool = False
    batch_size: int = DEFAULT_MAX_BATCH_SIZE
    memory: SharedMemory = field(default_factory=SharedMemory)
    infer: Callable[[str, str, Mapping[str, Any], Sequence[str]], Mapping[str, Any]] = field(
        default=lambda *_: {}
    )


class Apart(NamedTuple):
    """A request that is answered by itself: its tensors lie in shared memory."""

    request: InferRequest


@dataclass(frozen=True, slots=True)
class Version:
    """A loaded version and its numbers."""

    number: int
    backend: Backend
    statistics: Statistics
    sequences: Sequences | None = None


class TritonModel(Model):
    """One folder of the repository. `override` is a configuration in the place of its file's."""

    takes_arrays = True
    takes_headers = False

    def __init__(
        self, found: Found, settings: Settings, override: JsonObject | None = None
    ) -> None:
        super().__init__(found.name)
        self._found = found
        self._settings = settings
        self._override = override
        self.config: ModelConfig | None = None
        self.versions: dict[str, Version] = {}
        self._samples: tuple[Mapping[str, Any], ...] = ()

    # -- loading -----------------------------------------------------------------------------

    def load(self) -> bool:
        """Load the versions that the policy selects; LoadFailure tells what is wrong."""
        document = read_document(self._found) if self._override is None else self._override
        if self._settings.strict and not document:
            raise LoadFailure(
                "ModelIncompatible",
                f'model "{self.name}" has no config.pbtxt; write one, or leave out '
                "--strict-model-config and --disable-auto-complete-config",
            )
        config = make_config(guess_backend(self._found, document), self.name)
        chosen = self._select(config)
        versions: dict[str, Version] = {}
        for number in chosen:
            backend, config = self._open(number, config)
            versions[str(number)] = Version(number, backend, Statistics(), _make_sequences(config))
        for warning in config.warnings:
            logger.warning('model "%s": %s', self.name, warning)
        self.config, self.versions = config, versions
        self._samples = tuple(make_requests(config.document, self._found.folder))
        self.platform = config.platform
        self.batch_limits = config.batching
        self.row_wise = config.batching is not None
        self.quick = all(version.backend.quick for version in versions.values())
        self.ready = True
        return self.ready

    def _select(self, config: ModelConfig) -> list[int]:
        found = gather_versions(self._found)
        chosen = select_versions(found, config.policy)
        if not chosen:
            there = ", ".join(map(str, found)) or "none"
            raise LoadFailure(
                "ModelMissing",
                f'model "{self.name}" has no version to serve (found: {there}); put the model in a '
                f'folder "1" of "{self._found.folder.name}", or mend version_policy',
            )
        return chosen

    def _open(self, number: int, config: ModelConfig) -> tuple[Backend, ModelConfig]:
        """Return a loaded version, and the configuration with what the model itself tells."""
        if config.backend == "ensemble":
            validate_models(config, gather_models(self._found.folder.parent, self.name))
            return Ensemble(config, self._settings.infer), config
        path = version_path(self._found, number, config.file)
        settings = self._settings
        backend = make_backend(Source(path, number, config, settings.trust, settings.infer))
        inputs, outputs = backend.inputs, backend.outputs
        if inputs is not None and outputs is not None:
            completed = complete(config.document, inputs, outputs, settings.batch_size)
            config = make_config(completed, self.name)
            validate(config, inputs, outputs)
        return backend, config

    def warm_up(self) -> None:
        """Run what model_warmup says, or zeros through each version whose tensors are known."""
        config = self.config
        if config is None or config.decoupled:
            return
        for version in self.versions.values():
            for given in self._samples:
                version.backend.run(given, [spec.name for spec in config.outputs])
            if not self._samples and version.backend.inputs is not None:
                names = [spec.name for spec in version.backend.outputs or ()]
                version.backend.run(make_zeros(version.backend.inputs), names)

    def stop(self) -> None:
        """Let every version go."""
        super().stop()
        for version in self.versions.values():
            version.backend.close()

    # -- asking ------------------------------------------------------------------------------

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the configured inputs, the batch's size first."""
        return [spec.metadata() for spec in self.config.inputs] if self.config else []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the configured outputs, the batch's size first."""
        return [spec.metadata() for spec in self.config.outputs] if self.config else []

    def select_version(self, asked: str) -> Version:
        """Return the version asked for, the newest where none is; ModelNotFound names it."""
        if not asked:
            return next(reversed(self.versions.values()))
        found = self.versions.get(asked)
        if found is None:
            raise ModelNotFound(f"{self.name} with version {asked}")
        return found

    def validate(self, payload: Any) -> Any:
        """Check the form of a payload, and set apart what shared memory holds."""
        if isinstance(payload, InferRequest) and uses_regions(payload):
            return Apart(payload)
        return super().validate(payload)

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload; InvalidInput where it does not fit the configuration."""
        del headers, response_headers
        if isinstance(payload, Apart):
            return self._predict_apart(payload.request)
        config = self.config
        assert config is not None  # noqa: S101  # a model that is ready has been loaded
        began = perf_counter()
        asked = payload.model_version if isinstance(payload, InferRequest) else None
        version = self.select_version(asked or "")
        given = gather_arrays(payload, config.inputs)
        wanted = select_outputs(payload, config.outputs)
        if config.decoupled:
            return self._stream(payload, version, given, wanted)
        if version.sequences is None:
            arrays = self.infer_arrays(version, given, wanted, began)
        else:
            with version.sequences.enter(read_step(payload, self.name)) as turn:
                arrays = self.infer_arrays(version, given, wanted, began, turn)
        if isinstance(payload, InferRequest) and payload.request_outputs:
            arrays = classify(payload.request_outputs, arrays, self._labels)
        return make_answer(payload, arrays, self.name, str(version.number))

    async def _stream(
        self, payload: Any, version: Version, given: Mapping[str, Any], wanted: Sequence[str]
    ) -> AsyncIterator[Any]:
        """Yield each answer of a decoupled model; V2's tell whether they are the last."""
        config, began = self.config, perf_counter()
        assert config is not None  # noqa: S101  # as above
        backend: Any = version.backend  # the configuration says that it streams
        rows, number = _rows(given, config), str(version.number)
        given = {n: _reshaped(a, config.reshapes.get(n), config) for n, a in given.items()}
        responses = backend.stream(given, wanted)
        try:
            async for sent in responses:
                if sent.error is not None:
                    raise sent.error
                if sent.response is not None:
                    arrays = _told(backend.read(sent.response, wanted), config)
                    answer = make_answer(payload, arrays, self.name, number)
                    yield mark(answer, final=sent.final)
                elif wants_end(payload):
                    end = InferResponse(payload.id or "", self.name, [], model_version=number)
                    yield mark(end, final=True)
        finally:
            await responses.aclose()
            version.statistics.ran(Run(rows, 0.0, perf_counter() - began, 0.0))

    def _predict_apart(self, request: InferRequest) -> Any:
        if self.config is not None and self.config.decoupled:
            raise InvalidInput(
                f'model "{self.name}" answers any number of times, which shared memory has no room '
                "for; send its tensors in the request"
            )
        memory = self._settings.memory
        memory.fill(request)
        response = self.predict(request)
        memory.place(response)
        return response

    def infer_arrays(
        self,
        version: Version,
        given: Mapping[str, Any],
        wanted: Sequence[str],
        began: float,
        turn: Turn | None = None,
    ) -> Mapping[str, Any]:
        """Run a version and count it; `began` is when its input began to be made."""
        config = self.config
        assert config is not None  # noqa: S101  # as above
        if config.decoupled:
            raise InvalidInput(
                f'model "{self.name}" answers a request any number of times; ask it by itself, by '
                "ModelStreamInfer or generate_stream"
            )
        if version.sequences is not None and turn is None:
            raise InvalidInput(
                f'model "{self.name}" takes requests of sequences, which other models cannot make; '
                "ask it by itself"
            )
        rows = _rows(given, config)
        if turn is not None and rows != 1:
            raise InvalidInput(
                f"the batch has {rows} rows, and a request of a sequence has one; send one"
            )
        if config.reshapes:
            given = {n: _reshaped(a, config.reshapes.get(n), config) for n, a in given.items()}
        started = perf_counter()
        arrays = (
            version.backend.run(given, wanted)
            if turn is None
            else _run_turn(version.backend, given, wanted, turn, batched=config.batched)
        )
        ended = perf_counter()
        arrays = _told(arrays, config)
        run = Run(rows, started - began, ended - started, perf_counter() - ended)
        version.statistics.ran(run)
        return arrays

    def _labels(self, output: str) -> list[str]:
        """Return the labels of an output's classes, one a line of its file."""
        config = self.config
        file = config.labels.get(output) if config else None
        path = self._found.folder / file if file else None
        return path.read_text("utf-8").splitlines() if path is not None and path.exists() else []


def _make_sequences(config: ModelConfig) -> Sequences | None:
    found = config.sequences
    return None if found is None else Sequences(config.name, found, config.instances)


def _run_turn(
    backend: Any, given: Mapping[str, Any], wanted: Sequence[str], turn: Turn, *, batched: bool
) -> Mapping[str, Any]:
    """Run a request of a sequence with its controls and states, and keep what it leaves."""
    inputs = {**given, **turn.make_inputs(batched=batched)}
    names = list(dict.fromkeys((*wanted, *turn.output_names())))
    run = getattr(backend, "run_turn", None)
    arrays = backend.run(inputs, names) if run is None else run(inputs, names, turn)
    turn.keep(arrays)
    return {name: arrays[name] for name in wanted}


def _told(arrays: Mapping[str, Any], config: ModelConfig) -> Mapping[str, Any]:
    """Return outputs in the shapes that the configuration tells."""
    if not config.reshapes:
        return arrays
    told = (spec for spec in config.outputs if spec.name in arrays)
    return {spec.name: _restored(arrays[spec.name], spec.shape, config) for spec in told}


def _rows(given: Mapping[str, Any], config: ModelConfig) -> int:
    """Return the size of the batch; InvalidInput for one too large, or of unequal inputs."""
    if not config.batched or not given:
        return 1
    sizes = {name: array.shape[0] for name, array in given.items()}
    name, rows = next(iter(sizes.items()))
    for other, size in sizes.items():
        if size != rows:
            raise InvalidInput(
                f'input "{other}" has {size} rows and "{name}" {rows}; send as many of each'
            )
    if rows > config.max_batch_size:
        raise InvalidInput(
            f'the batch has {rows} rows, and model "{config.name}" takes {config.max_batch_size}; '
            "send fewer, or raise max_batch_size"
        )
    return int(rows)


def _reshaped(array: Any, shape: tuple[int, ...] | None, config: ModelConfig) -> Any:
    """Return an input in the shape that the model itself takes."""
    if shape is None:
        return array
    return array.reshape((array.shape[0], *shape) if config.batched else shape)


def _restored(array: Any, shape: tuple[int, ...] | None, config: ModelConfig) -> Any:
    """Return an output in the shape that the configuration tells."""
    if shape is None or list(shape[1:]).count(-1) > 1:
        return array
    return array.reshape((array.shape[0], *shape[1:]) if config.batched else shape)
