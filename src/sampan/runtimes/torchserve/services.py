"""TorchServe's gRPC: InferenceAPIsService and ManagementAPIsService.

Its answers have no place for a status or headers: what a handler sets of them is told over REST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotReady
from sampan.protocol.grpc import messages
from sampan.runtimes.torchserve.answers import Answer
from sampan.runtimes.torchserve.batches import make_batch
from sampan.runtimes.torchserve.model import RawRequest
from sampan.runtimes.torchserve.prediction_stream import PredictionStream, encode_part
from sampan.runtimes.torchserve.registry import Registration, Registry
from sampan.runtimes.torchserve.schema import TABLES
from sampan.runtimes.torchserve.turns import Parts
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Method
from sampan.server.grpc_answers import answer
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.wire.message import Response

_INFERENCE = b"/org.pytorch.serve.grpc.inference.InferenceAPIsService/"
_MANAGEMENT = b"/org.pytorch.serve.grpc.management.ManagementAPIsService/"


class TorchServeServices:
    """The gRPC interface over the archives. Used on the loop's thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def make(self, dataplane: DataPlane) -> Mapping[bytes, Method]:
        """Return the methods that come on top of KServe's (`server.grpc.Api`)."""
        return {
            _INFERENCE + b"Ping": partial(self._ping, dataplane),
            _INFERENCE + b"Predictions": self._predict,
            _MANAGEMENT + b"DescribeModel": self._describe,
            _MANAGEMENT + b"ListModels": self._list,
            _MANAGEMENT + b"RegisterModel": partial(self._register, dataplane),
            _MANAGEMENT + b"ScaleWorker": self._scale,
            _MANAGEMENT + b"SetDefault": self._set_default,
            _MANAGEMENT + b"UnregisterModel": self._unregister,
        }

    def make_streams(
        self, dataplane: DataPlane
    ) -> Mapping[bytes, Callable[[Headers], PredictionStream]]:
        """Return the methods that answer with several messages."""
        return {
            _INFERENCE + b"StreamPredictions": partial(PredictionStream, dataplane, self._predict)
        }

    def _ping(self, dataplane: DataPlane, data: bytes) -> bytes:
        del data
        healthy = dataplane.started and self._registry.repository.all_ready()
        status = "Healthy" if healthy else "Unhealthy"
        text = orjson.dumps({"status": status}).decode()
        return messages.encode("TorchServeHealthResponse", {"health": text}, TABLES)

    def _predict(self, data: bytes) -> Inference:
        """Ask a handler: what is under each name of the input, as bytes, as it came."""
        request = _decode("PredictionsRequest", data)
        model = self._registry.find(request["model_name"])
        model.select(request["model_version"])
        if not model.ready:
            raise ModelNotReady(model.name)
        row = {entry["key"]: bytearray(entry["value"]) for entry in request["input"]}
        if not row:
            raise InvalidInput('the input is empty; send a value, as under "data"')

        def decode() -> RawRequest:
            payload = RawRequest(row)
            payload.version = request["model_version"]
            return payload

        return Inference(model.name, {}, len(data), decode, partial(_encode, model.name))

    def _describe(self, data: bytes) -> bytes:
        request = _decode("DescribeModelRequest", data)
        return _told(self._registry.describe(request["model_name"], request["model_version"]))

    def _list(self, data: bytes) -> bytes:
        request = _decode("ListModelsRequest", data)
        return _told(self._registry.list(request["limit"], request["next_page_token"]))

    async def _register(self, dataplane: DataPlane, data: bytes) -> bytes:
        request = _decode("RegisterModelRequest", data)
        document = {
            key: request[name]
            for name, key in (("batch_size", "batchSize"), ("max_batch_delay", "maxBatchDelay"))
            if request[name]  # zero is not sent (proto3)
        }
        batch = make_batch(document, "the registration")
        workers = request["initial_workers"]
        wanted = Registration(request["url"], request["model_name"], batch, workers)
        return _told({"status": await self._registry.register(wanted, dataplane.workers)})

    def _scale(self, data: bytes) -> bytes:
        request = _decode("ScaleWorkerRequest", data)
        names = ("min_worker", "max_worker", "number_gpu")
        numbers = {name: request[name] for name in names if request[name]}  # zero is not sent
        told = self._registry.scale(request["model_name"], request["model_version"], numbers)
        return _told({"status": told})

    def _set_default(self, data: bytes) -> bytes:
        request = _decode("SetDefaultRequest", data)
        told = self._registry.set_default(request["model_name"], request["model_version"])
        return _told({"status": told})

    def _unregister(self, data: bytes) -> bytes:
        request = _decode("UnregisterModelRequest", data)
        return _told(
            {"status": self._registry.unregister(request["model_name"], request["model_version"])}
        )


def _decode(name: str, data: bytes) -> JsonObject:
    return messages.decode(name, data, TABLES)


def _told(value: Any) -> bytes:
    """Return a ManagementResponse, which holds what REST would answer."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return messages.encode("ManagementResponse", {"msg": text}, TABLES)


def _encode(name: str, result: Answer | Parts, headers: Headers) -> Response:
    """Return a PredictionResponse."""
    del headers
    if isinstance(result, Parts):
        raise InvalidInput(f'model "{name}" answers in several parts; ask it by StreamPredictions')
    return answer(encode_part(result))
