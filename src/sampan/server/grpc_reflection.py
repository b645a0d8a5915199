"""gRPC server reflection (grpc.reflection.v1 and v1alpha): clients learn methods and messages."""

from __future__ import annotations

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import messages
from sampan.protocol.grpc.descriptors import describe_files, list_services, locate_symbols
from sampan.protocol.grpc.status import Status
from sampan.server.grpc_stream import StreamCall


class Reflection:
    """One call of one version; the messages are the same in both."""

    def __init__(self, version: str) -> None:
        self._package = f"grpc.reflection.{version}"

    def take(self, message: bytes, call: StreamCall) -> None:
        """Answer one question."""
        try:
            asked = messages.decode(f"{self._package}.ServerReflectionRequest", message)
        except InvalidInput as error:
            call.end(error)
            return
        told = {"valid_host": asked["host"], "original_request": asked, **_answer(asked)}
        call.send(messages.encode(f"{self._package}.ServerReflectionResponse", told))
        call.proceed()

    def ended(self, call: StreamCall) -> None:
        """End with the client."""
        call.end()

    def closed(self) -> None:
        """Hold nothing."""


def _answer(asked: JsonObject) -> JsonObject:
    if "list_services" in asked:
        return {"list_services_response": {"service": [{"name": n} for n in list_services()]}}
    if "file_by_filename" in asked:
        return _file(asked["file_by_filename"], asked["file_by_filename"])
    if "file_containing_symbol" in asked:
        symbol = asked["file_containing_symbol"]
        return _file(locate_symbols().get(symbol, ""), symbol)
    if "all_extension_numbers_of_type" in asked:
        name = asked["all_extension_numbers_of_type"]
        if name in locate_symbols():  # proto3 has no extensions: none is the whole truth
            return {"all_extension_numbers_response": {"base_type_name": name}}
        return _unknown(name)
    if "file_containing_extension" in asked:
        return _unknown(asked["file_containing_extension"]["containing_type"])
    return _error(Status.INVALID_ARGUMENT, "the request asks nothing; set one of message_request")


def _file(name: str, asked: str) -> JsonObject:
    descriptor = describe_files().get(name)
    if descriptor is None:
        return _unknown(asked)
    return {"file_descriptor_response": {"file_descriptor_proto": [descriptor]}}


def _unknown(asked: str) -> JsonObject:
    return _error(Status.NOT_FOUND, f'"{asked}" is not described here; list_services tells what is')


def _error(code: Status, text: str) -> JsonObject:
    return {"error_response": {"error_code": int(code), "error_message": text}}
