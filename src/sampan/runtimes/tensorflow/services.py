"""TensorFlow Serving's gRPC: PredictionService and ModelService."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sampan.protocol.datatypes import from_np_dtype
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import messages as plain
from sampan.protocol.grpc.protobuf import delimited
from sampan.protocol.tensors import InferInput, InferRequest, InferResponse, RequestedOutput
from sampan.runtimes.tensorflow import messages, tensor_proto
from sampan.runtimes.tensorflow.messages import ModelSpec
from sampan.runtimes.tensorflow.model import (
    SIGNATURE,
    Examples,
    ServableNotFound,
    TensorflowModel,
    parse_version,
)
from sampan.runtimes.tensorflow.results import CLASSIFY, REGRESS
from sampan.runtimes.tensorflow.routes import make_metadata
from sampan.runtimes.tensorflow.store import TensorflowStore, make_status
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Method
from sampan.server.grpc_answers import answer
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.wire.message import Response

_PREDICTION = b"/tensorflow.serving.PredictionService/"
_MODEL = b"/tensorflow.serving.ModelService/"
_V2 = b"/inference.GRPCInferenceService/"
_RESULTS = {CLASSIFY: 2, REGRESS: 3}
"""The fields of an InferenceResult."""


class TensorflowServices:
    """The gRPC interface over a store."""

    def __init__(self, store: TensorflowStore) -> None:
        self._store = store

    def make(self, dataplane: DataPlane) -> Mapping[bytes, Method]:
        """Return the methods that come on top of KServe's (`server.grpc.Api`)."""
        return {
            _PREDICTION + b"Predict": self._predict,
            _PREDICTION + b"Classify": partial(self._examples, CLASSIFY),
            _PREDICTION + b"Regress": partial(self._examples, REGRESS),
            _PREDICTION + b"MultiInference": self._multi_inference,
            _PREDICTION + b"GetModelMetadata": self._metadata,
            _MODEL + b"GetModelStatus": self._status,
            _MODEL + b"HandleReloadConfigRequest": partial(self._reload, dataplane),
            _V2 + b"ModelMetadata": self._metadata_v2,
        }

    # -- predictions -------------------------------------------------------------------------

    def _predict(self, data: bytes) -> Inference:
        request = messages.walk_predict(data)
        model, number = self._store.select(request.spec)
        signature = request.spec.signature or model.select(number).model.default
        told = ModelSpec(model.name, number, signature=signature)
        decode = partial(_decode_predict, data, request, told)
        return _inference(model, len(data), decode, partial(_encode_predict, told))

    def _examples(self, method: str, data: bytes) -> Inference:
        spec, examples = messages.walk_examples(data)
        model, number = self._store.select(spec)
        signature = spec.signature or model.select(number).model.default
        told = ModelSpec(model.name, number, signature=signature)
        payload = Examples(examples, [(method, spec.signature)], number)

        def encode(result: Any) -> bytes:
            made = _encode_result(method, result[0])
            return delimited(1, made) + delimited(2, messages.encode_spec(told))

        return _inference(model, len(data), lambda: payload, encode)

    def _multi_inference(self, data: bytes) -> Inference:
        tasks, examples = messages.walk_tasks(data)
        specs = [messages.make_spec(task.get("model_spec")) for task in tasks]
        methods = [task["method_name"] for task in tasks]
        _validate_tasks(specs, methods)
        model, number = self._store.select(specs[0])
        asked = list(zip(methods, (spec.signature for spec in specs), strict=True))
        payload = Examples(examples, asked, number)

        def encode(result: list[Any]) -> bytes:
            parts = []
            for (method, signature), one in zip(asked, result, strict=True):
                told = ModelSpec(model.name, number, signature=signature)
                made = delimited(_RESULTS[method], _encode_result(method, one))
                parts.append(delimited(1, delimited(1, messages.encode_spec(told)) + made))
            return b"".join(parts)

        return _inference(model, len(data), lambda: payload, encode)

    # -- what is told of models --------------------------------------------------------------

    def _metadata(self, data: bytes) -> bytes:
        request = messages.decode("GetModelMetadataRequest", data)
        wanted = request["metadata_field"]
        if not wanted:
            raise InvalidInput(
                "GetModelMetadataRequest must specify at least one metadata_field; send "
                '"signature_def"'
            )
        other = next((name for name in wanted if name != "signature_def"), None)
        if other is not None:
            raise InvalidInput(f'Metadata field {other} is not supported; send "signature_def"')
        spec = messages.make_spec(request.get("model_spec"))
        model, number = self._store.select(spec)
        protos = {
            name: signature.proto.SerializeToString(deterministic=True)
            for name, signature in model.select(number).model.signatures.items()
        }
        return messages.encode_metadata(ModelSpec(model.name, number), protos)

    def _metadata_v2(self, data: bytes) -> bytes:
        request = plain.decode("inference.ModelMetadataRequest", data)
        spec = ModelSpec(request["name"], parse_version(request["version"]))
        made = make_metadata(*self._store.select(spec))
        return plain.encode("inference.ModelMetadataResponse", made)

    def _status(self, data: bytes) -> bytes:
        request = messages.decode("GetModelStatusRequest", data)
        states = self._store.statuses(messages.make_spec(request.get("model_spec")))
        rows = [make_status(*one) for one in states.items()]
        return messages.encode("GetModelStatusResponse", {"model_version_status": rows})

    async def _reload(self, dataplane: DataPlane, data: bytes) -> bytes:
        request = messages.decode("ReloadConfigRequest", data)
        if "config" not in request:
            raise InvalidInput("ReloadConfigRequest has no config; send the models to serve")
        code, words = await self._store.reload(request["config"], dataplane.workers)
        status = {"error_code": code, "error_message": words}
        return messages.encode("ReloadConfigResponse", {"status": status})


def _inference(
    model: TensorflowModel,
    size: int,
    decode: Callable[[], Any],
    encode: Callable[[Any], bytes],
) -> Inference:
    """Return the inference of a call whose answer is one message."""

    def respond(result: Any, headers: Headers) -> Response:
        del headers  # these models set none
        return answer(encode(result))

    return Inference(model.name, {}, size, decode, respond)


def _decode_predict(data: bytes, request: messages.Predict, told: ModelSpec) -> InferRequest:
    """Return a Predict as V2 would ask it, so that both are batched together."""
    inputs = []
    for name, place in request.places.items():
        array = tensor_proto.decode(name, data, *place)
        tensor = InferInput(name, list(array.shape), from_np_dtype(array.dtype) or "")
        tensor.set_array(array)
        inputs.append(tensor)
    return InferRequest(
        told.name,
        inputs,
        parameters={SIGNATURE: told.signature},
        request_outputs=[RequestedOutput(name) for name in request.outputs] or None,
        model_version=str(told.version),
    )


def _encode_predict(told: ModelSpec, result: InferResponse) -> bytes:
    outputs = ((output.name, output.as_numpy()) for output in result.outputs)
    return messages.encode_predict(outputs, told)


def _encode_result(method: str, result: Any) -> bytes:
    if method == CLASSIFY:
        return messages.encode_classifications(result)
    return messages.encode_regressions(result)


def _validate_tasks(specs: list[ModelSpec], methods: list[str]) -> None:
    if not specs:
        raise InvalidInput("MultiInferenceRequest has no tasks; send at least one")
    if len({spec.name for spec in specs}) > 1:
        raise InvalidInput(
            "All ModelSpecs in a MultiInferenceRequest must access the same model name."
        )
    if not specs[0].name:
        raise ServableNotFound("Found ModelSpec with an empty model name; name the model")
    signatures = [spec.signature for spec in specs]
    twice = next((name for name in signatures if signatures.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"Duplicate evaluation of signature: {twice}; ask each once")
    other = next((method for method in methods if method not in _RESULTS), None)
    if other is not None:
        raise InvalidInput(
            f"Unsupported signature method_name: {other}; use {CLASSIFY} or {REGRESS}"
        )
