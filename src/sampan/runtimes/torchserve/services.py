"""TorchServe's gRPC: InferenceAPIsService and ManagementAPIsService, but for its streams."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol import json_out
from sampan.protocol.errors import InvalidInput, ModelNotReady
from sampan.protocol.grpc import messages
from sampan.runtimes.torchserve.model import RawRequest
from sampan.runtimes.torchserve.registry import Registry
from sampan.runtimes.torchserve.schema import TABLES
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
            _MANAGEMENT + b"UnregisterModel": self._unregister,
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
        model = self._registry.find(request["model_name"], request["model_version"])
        if not model.ready:
            raise ModelNotReady(model.name)
        row = {entry["key"]: bytearray(entry["value"]) for entry in request["input"]}
        if not row:
            raise InvalidInput('the input is empty; send a value, as under "data"')
        return Inference(model.name, {}, len(data), lambda: RawRequest(row), _encode)

    def _describe(self, data: bytes) -> bytes:
        request = _decode("DescribeModelRequest", data)
        return _told(self._registry.describe(request["model_name"], request["model_version"]))

    def _list(self, data: bytes) -> bytes:
        request = _decode("ListModelsRequest", data)
        return _told(self._registry.list(request["limit"], request["next_page_token"]))

    async def _register(self, dataplane: DataPlane, data: bytes) -> bytes:
        request = _decode("RegisterModelRequest", data)
        name, url = request["model_name"], request["url"]
        return _told({"status": await self._registry.register(url, name, dataplane.workers)})

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


def _encode(result: Any, headers: Headers) -> Response:
    """Return a PredictionResponse: bytes and text as they are, anything else as JSON."""
    del headers
    if isinstance(result, (bytes, bytearray)):
        content = bytes(result)
    else:
        content = result.encode() if isinstance(result, str) else json_out.dumps(result)
    return answer(messages.encode("PredictionResponse", {"prediction": content}, TABLES))
