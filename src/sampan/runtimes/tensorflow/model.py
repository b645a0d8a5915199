"""A model of TensorFlow: its versions behind one name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sampan.protocol.errors import InvalidInput, ServingError
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.row_trial import is_row_wise
from sampan.runtimes.tensor_answers import make_answer
from sampan.runtimes.tensor_specs import gather_arrays, make_zeros, select_outputs
from sampan.runtimes.tensorflow import json_forms, results
from sampan.runtimes.tensorflow.config import ModelConfig
from sampan.runtimes.tensorflow.keras_file import exported
from sampan.runtimes.tensorflow.layout import Found, gather_versions, missing_model
from sampan.runtimes.tensorflow.saved_model import BoundSignature, Engine, SavedModel, Signature
from sampan.runtimes.triton.config import select_versions
from sampan.server.batching import BatchLimits
from sampan.server.load_failure import LoadFailure, describe_failure
from sampan.server.model import Headers, Model

logger = logging.getLogger("sampan.runtimes.tensorflow")

_WARM_ROUNDS = 3
SIGNATURE = "signature_name"
"""The parameter of a V2 request that names a signature."""


class ServableNotFound(ServingError):
    """No model or version of this name, in TensorFlow Serving's words."""

    status = 404


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are loaded and gathered. `batching` is set where batches are asked for."""

    engine: Engine = Engine()
    batching: BatchLimits | None = None


class State(NamedTuple):
    """A version's state: a name of ModelVersionStatus, and why it does not serve."""

    name: str
    failure: LoadFailure | None = None


class Asked(NamedTuple):
    """A request that is answered by itself: of another version, or of rows that may meet."""

    payload: Any
    version: int | None = None


class Examples(NamedTuple):
    """Serialized examples for signatures of classify and regress: `(method, signature name)`."""

    examples: list[bytes]
    tasks: Sequence[tuple[str, str]]
    version: int | None = None


@dataclass(slots=True)
class Version:
    """A loaded version. `row_wise`: the signatures whose rows do not meet."""

    model: SavedModel
    row_wise: frozenset[str] = field(default_factory=frozenset)


class TensorflowModel(Model):
    """One base path. The newest version answers who names none."""

    quick = True
    takes_arrays = True
    takes_headers = False
    platform = "tensorflow_savedmodel"

    def __init__(self, config: ModelConfig, settings: Settings) -> None:
        super().__init__(config.name)
        self.config = config
        self._settings = settings
        self.versions: dict[int, Version] = {}
        self.states: dict[int, State] = {}

    # -- loading -----------------------------------------------------------------------------

    def load(self) -> bool:
        """Load the versions that the policy selects; LoadFailure where none of them can be."""
        found = gather_versions(self.config.base)
        if not found:
            raise missing_model(self.config.base)
        chosen = select_versions(list(found), self.config.policy)
        if not chosen:
            wanted = ", ".join(map(str, self.config.policy.specific))
            there = ", ".join(map(str, found))
            raise LoadFailure(
                "ModelMissing",
                f'model "{self.name}" has the versions {there}, and its version policy names '
                f"{wanted}; mend model_version_policy, or add the version",
            )
        self.states = {number: State("START") for number in chosen}
        failures = [self._load_version(found[number]) for number in chosen]
        if not self.versions:
            raise next(failure for failure in failures if failure is not None)
        newest = self.versions[max(self.versions)]
        self.batch_limits = self._settings.batching
        self.row_wise = newest.model.default in newest.row_wise
        self.ready = True
        return self.ready

    def _load_version(self, found: Found) -> LoadFailure | None:
        """Load a version, unless it is there; return why it cannot be."""
        number = found.number
        self.states[number] = State("LOADING")
        try:
            model = _open(found, self._settings.engine)
        except Exception as error:  # noqa: BLE001  # the others serve without it
            failure = describe_failure(error)
            self.states[number] = State("END", failure)
            logger.warning("version %s of model %s: %s", number, self.name, failure.message)
            return failure
        self.versions[number] = Version(model, self._select_row_wise(model))
        self.states[number] = State("AVAILABLE")
        return None

    def _select_row_wise(self, model: SavedModel) -> frozenset[str]:
        """Return the signatures that are batched: tried, or on the operator's word."""
        bound = {
            name: BoundSignature(model, signature)
            for name, signature in model.signatures.items()
            if not signature.problem
        }
        return frozenset(
            name
            for name, one in bound.items()
            if one.open_axis and (self._settings.batching is not None or is_row_wise(one))
        )

    def warm_up(self) -> None:
        """Run zeros through the signature that is asked most."""
        for version in self.versions.values():
            signature = version.model.find("")
            names = [spec.name for spec in signature.outputs]
            for _ in range(_WARM_ROUNDS):
                version.model.run(signature, make_zeros(signature.inputs), names)

    def stop(self) -> None:
        """Let every version go."""
        super().stop()
        for version in self.versions.values():
            version.model.close()
        self.versions = {}
        self.states = dict.fromkeys(self.states, State("END"))

    # -- asking ------------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """The version that answers who names none."""
        return max(self.versions)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs of the default signature."""
        signature = self.describe(None)
        return [spec.metadata() for spec in signature.inputs] if signature else []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs of the default signature."""
        signature = self.describe(None)
        return [spec.metadata() for spec in signature.outputs] if signature else []

    def describe(self, version: int | None) -> Signature | None:
        """Return the default signature of a version; None while nothing is loaded."""
        if not self.versions:
            return None
        model = self.select(version).model
        return model.signatures.get(model.default)

    def select(self, version: int | None) -> Version:
        """Return a loaded version, None: the newest; ServableNotFound names it."""
        found = self.versions.get(self.newest if version is None else version)
        if found is None:
            raise ServableNotFound(
                f"Servable not found for request: Specific({self.name}, {version})"
            )
        return found

    def validate(self, payload: Any) -> Any:
        """Check the form of a V1 payload, and set apart what may not be joined with others."""
        if isinstance(payload, InferRequest):
            version = self.select(parse_version(payload.model_version))
            name = _signature_of(payload) or version.model.default
            return payload if name in version.row_wise else Asked(payload)
        asked = payload.payload if isinstance(payload, Asked) else payload
        if isinstance(asked, dict):
            json_forms.validate_predict(asked)
        elif not isinstance(payload, Examples):
            raise InvalidInput("JSON Parse error: the body is no JSON; send a JSON object")
        return payload

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload, or examples; InvalidInput where it does not fit."""
        del headers, response_headers
        if isinstance(payload, Examples):
            return self._infer_examples(payload)
        asked = payload if isinstance(payload, Asked) else Asked(payload)
        body = asked.payload
        number = asked.version
        if isinstance(body, InferRequest):
            number = parse_version(body.model_version)
        model = self.select(number).model
        signature = model.find(_signature_of(body))
        given = gather_arrays(body, signature.inputs)
        arrays = model.run(signature, given, select_outputs(body, signature.outputs))
        if isinstance(body, InferRequest):
            return make_answer(body, arrays, self.name, str(number or self.newest))
        return json_forms.make_answer(arrays, rows="instances" in body)

    def _infer_examples(self, payload: Examples) -> list[Any]:
        """Return a result a task: classes or values, a row each."""
        import numpy as np

        if not payload.examples:
            raise InvalidInput("Input is empty; send at least one example")
        model = self.select(payload.version).model
        texts = np.empty(len(payload.examples), dtype=object)
        texts[:] = payload.examples
        made: list[Any] = []
        for method, name in payload.tasks:
            signature = model.find(name)
            results.validate_method(signature, method)
            names = results.select_outputs(signature, method)
            arrays = model.run(signature, {results.INPUT: texts}, names)
            make = (
                results.make_classifications
                if method == results.CLASSIFY
                else results.make_regressions
            )
            made.append(make(arrays, len(texts)))
        return made


def parse_version(text: str | None) -> int | None:
    """Return the version that a request names, None where it names none; InvalidInput else."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidInput(f'version "{text}" is no number; send one, as in 1')
    return int(text)


def _signature_of(body: Any) -> str:
    given = body.parameters or {} if isinstance(body, InferRequest) else body
    name = given.get(SIGNATURE, "")
    if not isinstance(name, str):
        raise InvalidInput(f'"{SIGNATURE}" is {name!r}; send the name of a signature')
    return name


def _open(found: Found, engine: Engine) -> SavedModel:
    ready = exported(found.path, trust=engine.trust) if found.is_keras else nullcontext(found.path)
    with ready as folder:
        return SavedModel(folder, engine)
