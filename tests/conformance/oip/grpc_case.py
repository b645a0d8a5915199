"""Asks a server one gRPC case of `cases.yaml`: by grpcio, with Triton's protocol messages."""

from __future__ import annotations

import struct
from typing import Any

SECONDS = 10
SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health/Check"


def ask(address: str, case: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the status of a call, and its answer in JSON form or the words of its refusal."""
    import grpc
    from google.protobuf.json_format import MessageToDict

    request, answers = make_message(case)
    method = case["call"] if "/" in case["call"] else f"{SERVICE}/{case['call']}"
    packed = grpc.Compression.Gzip if case.get("compression") == "gzip" else None
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{method}", type(request).SerializeToString, answers)
        try:
            answer = call(request, timeout=SECONDS, wait_for_ready=True, compression=packed)
        except grpc.RpcError as error:
            return error.code().name, {"details": error.details()}
    form = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
    return "OK", MessageToDict(answer, **form)


def make_message(case: dict[str, Any]) -> tuple[Any, Any]:
    """Return the request of a case, and what reads its answer."""
    from google.protobuf.json_format import ParseDict
    from grpc_health.v1 import health_pb2
    from tritonclient.grpc import service_pb2

    name = case["call"].rpartition("/")[2]
    if case["call"] == HEALTH:
        return health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse.FromString
    kind = getattr(service_pb2, f"{name}Request", service_pb2.ServerLiveRequest)
    answers = getattr(service_pb2, f"{name}Response", service_pb2.ServerLiveResponse)
    request = ParseDict(case.get("message", {}), kind())
    for floats in case.get("floats", ()):
        request.raw_input_contents.append(struct.pack(f"<{len(floats)}f", *floats))
    return request, answers.FromString
