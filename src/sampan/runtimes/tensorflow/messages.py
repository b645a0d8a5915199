"""TensorFlow Serving's requests and answers between bytes and values (`tensorflow_serving/apis`).

Tensors and examples stay where they lie in the message until they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import messages, protobuf
from sampan.protocol.grpc.protobuf import delimited, fields, signed, text
from sampan.runtimes.tensorflow import tensor_proto
from sampan.runtimes.tensorflow.schema import WIRE_TABLES

if TYPE_CHECKING:
    import numpy as np

_FIRST, _SECOND, _THIRD, _FOURTH = (number << 3 | protobuf.LENGTH for number in range(1, 5))
SIGNATURES_TYPE = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model is asked: its name, a version or a version's label or neither, a signature."""

    name: str = ""
    version: int | None = None
    label: str = ""
    signature: str = ""

    def __str__(self) -> str:
        return f"Latest({self.name})" if self.version is None else self.exactly(self.version)

    def exactly(self, version: int) -> str:
        """Return how TensorFlow Serving writes a request for one version."""
        return f"Specific({self.name}, {version})"


@dataclass(slots=True)
class Predict:
    """A PredictRequest that has been walked. `places`: where each input's tensor lies."""

    spec: ModelSpec = field(default_factory=ModelSpec)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def decode_spec(data: bytes, at: int, end: int) -> ModelSpec:
    """Return the ModelSpec between two offsets."""
    name = label = signature = ""
    version: int | None = None
    for tag, start, stop in fields(data, at, end):
        if tag == _FIRST:
            name = text(data, start, stop)
        elif tag == _SECOND:
            version = 0  # a wrapper without its number holds zero
            for inner, value, _ in fields(data, start, stop):
                if inner == 1 << 3:
                    version = signed(value)
        elif tag == _THIRD:
            signature = text(data, start, stop)
        elif tag == _FOURTH:
            label = text(data, start, stop)
    return ModelSpec(name, version, label, signature)


def make_spec(value: JsonObject | None) -> ModelSpec:
    """Return the ModelSpec of a message that tables have read."""
    given = value or {}
    version = given.get("version")
    return ModelSpec(
        given.get("name", ""),
        None if version is None else version["value"],
        given.get("version_label", ""),
        given.get("signature_name", ""),
    )


def encode_spec(spec: ModelSpec) -> bytes:
    """Return a ModelSpec with what it has."""
    value: JsonObject = {"name": spec.name, "signature_name": spec.signature}
    if spec.version is not None:
        value["version"] = {"value": spec.version}
    return encode("ModelSpec", value)


def decode(message: str, data: bytes) -> JsonObject:
    """Return a small message by its tables."""
    return messages.decode(message, data, WIRE_TABLES)


def encode(message: str, value: JsonObject) -> bytes:
    """Return the bytes of a small message by its tables."""
    return messages.encode(message, value, WIRE_TABLES)


# -- predict ---------------------------------------------------------------------------------


def walk_predict(data: bytes) -> Predict:
    """Return a PredictRequest without its tensors' contents."""
    request = Predict()
    for tag, start, stop in fields(data, 0, len(data)):
        if tag == _FIRST:
            request.spec = decode_spec(data, start, stop)
        elif tag == _SECOND:
            name, place = _walk_entry(data, start, stop)
            request.places[name] = place
        elif tag == _THIRD:
            request.outputs.append(text(data, start, stop))
    return request


def _walk_entry(data: bytes, at: int, end: int) -> tuple[str, tuple[int, int]]:
    name, place = "", (at, at)
    for tag, start, stop in fields(data, at, end):
        if tag == _FIRST:
            name = text(data, start, stop)
        elif tag == _SECOND:
            place = (start, stop)
    return name, place


def encode_predict(outputs: Iterable[tuple[str, np.ndarray[Any, Any]]], spec: ModelSpec) -> bytes:
    """Return a PredictResponse."""
    entries = (
        delimited(1, delimited(1, name.encode()) + delimited(2, tensor_proto.encode(array)))
        for name, array in outputs
    )
    return b"".join(entries) + delimited(2, encode_spec(spec))


# -- examples --------------------------------------------------------------------------------


def walk_examples(data: bytes) -> tuple[ModelSpec, list[bytes]]:
    """Return model and serialized examples of a ClassificationRequest or RegressionRequest."""
    spec, examples = ModelSpec(), list[bytes]()
    for tag, start, stop in fields(data, 0, len(data)):
        if tag == _FIRST:
            spec = decode_spec(data, start, stop)
        elif tag == _SECOND:
            examples = decode_examples(data, start, stop)
    return spec, examples


def walk_tasks(data: bytes) -> tuple[list[JsonObject], list[bytes]]:
    """Return tasks and serialized examples of a MultiInferenceRequest."""
    tasks, examples = [], list[bytes]()
    for tag, start, stop in fields(data, 0, len(data)):
        if tag == _FIRST:
            tasks.append(decode("InferenceTask", data[start:stop]))
        elif tag == _SECOND:
            examples = decode_examples(data, start, stop)
    return tasks, examples


def decode_examples(data: bytes, at: int, end: int) -> list[bytes]:
    """Return the examples of an Input, the context before each: joined messages are merged."""
    examples: list[bytes] = []
    context = b""
    for tag, start, stop in fields(data, at, end):
        if tag not in {_FIRST, _SECOND}:
            continue
        examples, context = [], b""
        for inner, begin, close in fields(data, start, stop):
            if inner == _FIRST:
                examples.append(data[begin:close])
            elif inner == _SECOND and tag == _SECOND:
                context = data[begin:close]
    return [context + example for example in examples] if context else examples


def encode_feature(values: list[Any], name: str) -> bytes:
    """Return a Feature of JSON's values: text, whole numbers or fractions; InvalidInput else."""
    kinds = {type(value) for value in values}
    if kinds <= {bytes}:
        return delimited(1, b"".join(delimited(1, value) for value in values))
    if kinds <= {int, bool}:
        wrong = next((value for value in values if not -(2**63) <= value < 2**63), None)
        if wrong is not None:
            raise InvalidInput(f"Feature: {name} holds {wrong}; send whole numbers of 64 bits")
        packed = b"".join(protobuf.varint(int(value)) for value in values)
        return delimited(3, delimited(1, packed))
    if kinds <= {float}:
        import numpy as np

        packed = np.array(values, "<f4").tobytes()
        return delimited(2, delimited(1, packed))
    raise InvalidInput(
        f"Unexpected element type in feature: {name}; send text, whole numbers or fractions (2.0), "
        "one kind in each feature"
    )


def encode_example(features: Mapping[str, bytes]) -> bytes:
    """Return an Example of its encoded features."""
    entries = (
        delimited(1, delimited(1, name.encode()) + delimited(2, value))
        for name, value in features.items()
    )
    return delimited(1, b"".join(entries))


# -- results ---------------------------------------------------------------------------------

Classes = list[tuple[str, float]]
"""The classes of one example: label and score."""


def encode_classifications(rows: Iterable[Classes]) -> bytes:
    """Return a ClassificationResult."""

    def one(label: str, score: float) -> bytes:
        named = delimited(1, label.encode()) if label else b""
        return delimited(1, named + (tensor_proto.encode_float(2, score) if score else b""))

    return b"".join(delimited(1, b"".join(one(*pair) for pair in row)) for row in rows)


def encode_regressions(values: Iterable[float]) -> bytes:
    """Return a RegressionResult."""
    return b"".join(
        delimited(1, tensor_proto.encode_float(1, value) if value else b"") for value in values
    )


def encode_metadata(spec: ModelSpec, signatures: Mapping[str, bytes]) -> bytes:
    """Return a GetModelMetadataResponse of serialized SignatureDefs."""
    entries = (
        delimited(1, delimited(1, name.encode()) + delimited(2, signature))
        for name, signature in signatures.items()
    )
    packed = encode("Any", {"type_url": SIGNATURES_TYPE, "value": b"".join(entries)})
    entry = delimited(1, b"signature_def") + delimited(2, packed)
    return delimited(1, encode_spec(spec)) + delimited(2, entry)
