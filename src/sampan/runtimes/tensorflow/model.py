"""A model of TensorFlow: its versions behind one name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sampan.protocol.errors import InvalidInput, ServingError
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.file_signs import Sign, gather_sign
from sampan.runtimes.tensor_answers import make_answer
from sampan.runtimes.tensor_specs import gather_arrays, select_outputs
from sampan.runtimes.tensorflow import json_forms, results
from sampan.runtimes.tensorflow.config import ModelConfig
from sampan.runtimes.tensorflow.layout import Found, gather_versions, missing_model
from sampan.runtimes.tensorflow.saved_model import Signature
from sampan.runtimes.tensorflow.version import Settings, State, Version, open_version
from sampan.runtimes.triton.config import select_versions
from sampan.server.load_failure import LoadFailure, describe_failure
from sampan.server.model import Headers, Model

logger = logging.getLogger("sampan.runtimes.tensorflow")

SIGNATURE = "signature_name"
"""The parameter of a V2 request that names a signature."""


class ServableNotFound(ServingError):
    """No model or version of this name, in TensorFlow Serving's words."""

    status = 404


class Asked(NamedTuple):
    """A request that is answered by itself: of another version, or of rows that may meet."""

    payload: Any
    version: int | None = None


class Examples(NamedTuple):
    """Serialized examples for signatures of classify and regress: `(method, signature name)`."""

    examples: list[bytes]
    tasks: Sequence[tuple[str, str]]
    version: int | None = None


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
        self._failed: dict[int, Sign] = {}
        self._leaving: dict[int, Version] = {}

    # -- loading -----------------------------------------------------------------------------

    def load(self) -> bool:
        """Load the versions that the policy selects; LoadFailure where none of them can be.

        Asked again, it loads all of them anew.
        """
        self._failed = {}
        serving = self._update({})
        if not serving:
            self.states |= dict.fromkeys(self.versions, State("AVAILABLE"))
            raise self._missing(gather_versions(self.config.base))
        self._publish(serving)
        return self.ready

    def follow(self) -> list[int]:
        """Serve the versions that the policy selects of those there are now; return those that no
        further request gets. On a worker.

        New ones load before old ones go, and what serves goes on until another can. A version that
        did not load is tried again once its files have changed.
        """
        serving = self._update(self.versions)
        if not serving:
            return []
        gone = {number: one for number, one in self.versions.items() if number not in serving}
        self._leaving |= gone
        self.states |= {number: State("UNLOADING") for number in gone}
        self._publish(serving)
        return list(gone)

    def _update(self, current: Mapping[int, Version]) -> dict[int, Version]:
        """Return the versions to serve: of the current ones and of new ones, which are loaded."""
        found = gather_versions(self.config.base)
        chosen = select_versions(list(found), self.config.policy)
        new = [found[n] for n in chosen if n not in current and self._is_new(found[n])]
        self.states |= {one.number: State("START") for one in new}
        loaded = {one.number: self._load_version(one) for one in new}
        serving = {number: one for number, one in current.items() if number in chosen}
        serving |= {number: one for number, one in loaded.items() if one is not None}
        return dict(sorted(serving.items()))

    def let_go(self, numbers: Iterable[int]) -> None:
        """Close versions that nobody asks any more."""
        for number in numbers:
            version = self._leaving.pop(number, None)
            if version is not None:
                version.model.close()
                self.states[number] = State("END")

    def _is_new(self, found: Found) -> bool:
        """Whether a version has not been tried as its files are now."""
        failed = self._failed.get(found.number)
        return failed is None or failed != gather_sign(found.path)

    def _load_version(self, found: Found) -> Version | None:
        """Load a version; None where it cannot be, and its state tells why."""
        number = found.number
        self.states[number] = State("LOADING")
        sign = gather_sign(found.path)
        try:
            version = open_version(found, self._settings)
        except Exception as error:  # noqa: BLE001  # the others serve without it
            failure = describe_failure(error)
            self.states[number] = State("END", failure)
            self._failed[number] = sign
            logger.warning("version %s of model %s: %s", number, self.name, failure.message)
            return None
        self._failed.pop(number, None)
        self.states[number] = State("AVAILABLE")
        return version

    def _publish(self, versions: dict[int, Version]) -> None:
        newest = versions[max(versions)]
        self.batch_limits = self._settings.batching
        self.row_wise = newest.model.default in newest.row_wise
        self.versions = versions
        self.ready = True

    def _missing(self, found: Mapping[int, Found]) -> LoadFailure:
        """Return why nothing serves."""
        failures = [state.failure for _, state in sorted(self.states.items()) if state.failure]
        if failures:
            return failures[0]
        if not found:
            return missing_model(self.config.base)
        wanted = ", ".join(map(str, self.config.policy.specific))
        there = ", ".join(map(str, found))
        return LoadFailure(
            "ModelMissing",
            f'model "{self.name}" has the versions {there}, and its version policy names '
            f"{wanted}; mend model_version_policy, or add the version",
        )

    def stop(self) -> None:
        """Let every version go."""
        super().stop()
        for version in (*self.versions.values(), *self._leaving.values()):
            version.model.close()
        self.versions, self._leaving = {}, {}
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
        versions = self.versions  # another may come meanwhile
        found = versions.get(max(versions, default=0) if version is None else version)
        if found is None:
            raise ServableNotFound(
                f"Servable not found for request: Specific({self.name}, {version})"
            )
        return found

    def _take(self, version: int | None) -> tuple[int, Version]:
        """Return the version of a request that has been let in, though it may leave meanwhile."""
        number = self.newest if version is None else version
        leaving = self._leaving.get(number)
        if leaving is not None and number not in self.versions:
            return number, leaving
        return number, self.select(number)

    def validate(self, payload: Any) -> Any:
        """Check the form of a V1 payload, and set apart what may not be joined with others."""
        if isinstance(payload, InferRequest):
            _, version = self._take(parse_version(payload.model_version))
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
        number, version = self._take(number)
        model = version.model
        signature = model.find(_signature_of(body))
        given = gather_arrays(body, signature.inputs)
        arrays = model.run(signature, given, select_outputs(body, signature.outputs))
        if isinstance(body, InferRequest):
            return make_answer(body, arrays, self.name, str(number))
        return json_forms.make_answer(arrays, rows="instances" in body)

    def _infer_examples(self, payload: Examples) -> list[Any]:
        """Return a result a task: classes or values, a row each."""
        if not payload.examples:
            raise InvalidInput("Input is empty; send at least one example")
        model = self._take(payload.version)[1].model
        texts = results.make_input(payload.examples)
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
