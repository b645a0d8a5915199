"""As grpcurl and Postman do: all that is known of the server comes from its reflection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "inference.GRPCInferenceService"


class Dynamic:
    """Calls methods by name with dicts, by descriptors that the server sent."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        return sorted(self._database.get_services())

    def call(self, method: str, message: dict[str, Any]) -> Any:
        described = self._pool.FindServiceByName(SERVICE).FindMethodByName(method)
        request = ParseDict(message, GetMessageClass(described.input_type)())
        answered = GetMessageClass(described.output_type)
        ask = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=answered.FromString,
        )
        return MessageToDict(ask(request, timeout=10), preserving_proto_field_name=True)


@pytest.fixture
def grpcurl(served) -> Iterator[Dynamic]:
    with grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        yield Dynamic(channel)


def test_services_are_listed(grpcurl):
    listed = grpcurl.services()
    assert SERVICE in listed
    assert "grpc.health.v1.Health" in listed


def test_a_model_is_described_and_asked_by_what_was_described(grpcurl):
    assert grpcurl.call("ServerLive", {}) == {"live": True}
    assert grpcurl.call("ModelReady", {"name": "sklearn-iris"}) == {"ready": True}
    assert grpcurl.call("ModelMetadata", {"name": "echo"})["name"] == "echo"
    rows = [6.8, 2.8, 4.8, 1.4, 6.0, 3.4, 4.5, 1.6]
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "contents": {"fp32_contents": rows}}
    asked = {"model_name": "sklearn-iris", "id": "7", "inputs": [tensor]}
    answer = grpcurl.call("ModelInfer", asked)
    assert answer["id"] == "7"
    assert answer["outputs"][0]["contents"]["int64_contents"] == ["1", "1"]


def test_errors_have_their_code(grpcurl):
    with pytest.raises(grpc.RpcError) as caught:
        grpcurl.call("ModelInfer", {"model_name": "none"})
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Model with name none does not exist."
