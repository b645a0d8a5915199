"""The gRPC health checking protocol (grpc.health.v1).

The service "" is the server and so is the inference service; any other name is a model's.
"""

from __future__ import annotations

import asyncio

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import ModelNotFound, ServerNotReady, ServingError
from sampan.protocol.grpc import messages
from sampan.protocol.grpc.status import RpcError, Status
from sampan.server.dataplane import DataPlane
from sampan.server.grpc_stream import StreamCall

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
_SERVER = frozenset({"", "inference.GRPCInferenceService"})
_RESPONSE = "grpc.health.v1.HealthCheckResponse"
_LOOK_SECONDS = 0.25  # between looks at a watched service; a dictionary look-up each


def observe_health(dataplane: DataPlane, service: str) -> int:
    """Return the serving status of a service."""
    try:
        if service in _SERVER:
            dataplane.validate_ready()
        else:
            dataplane.repository.get_ready(service)
    except ModelNotFound:
        return SERVICE_UNKNOWN
    except (ServerNotReady, ServingError):
        return NOT_SERVING
    return SERVING


def check(dataplane: DataPlane, request: JsonObject) -> JsonObject:
    """Answer `Check`; NOT_FOUND for a service that is not known."""
    service = request["service"]
    status = observe_health(dataplane, service)
    if status == SERVICE_UNKNOWN:
        raise RpcError(Status.NOT_FOUND, f'no service or model is named "{service}"')
    return {"status": status}


class Watch:
    """One call of `Watch`: the status at once, and whenever it changes."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._timer: asyncio.TimerHandle | None = None
        self._service: str | None = None

    def take(self, message: bytes, call: StreamCall) -> None:
        """Begin to watch."""
        if self._service is not None:
            call.end(RpcError(Status.INVALID_ARGUMENT, "Watch takes one message"))
            return
        try:
            request = messages.decode("grpc.health.v1.HealthCheckRequest", message)
        except ServingError as error:
            call.end(error)
            return
        self._service = request["service"]
        self._look(call, -1)
        call.proceed()

    def _look(self, call: StreamCall, before: int) -> None:
        status = observe_health(self._dataplane, self._service or "")
        if status != before:
            call.send(messages.encode(_RESPONSE, {"status": status}))
        if not call.over:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LOOK_SECONDS, self._look, call, status)

    def ended(self, call: StreamCall) -> None:
        """Go on: the client only has nothing more to ask. One that asked nothing is told so."""
        if self._service is None:
            call.end(RpcError(Status.INVALID_ARGUMENT, "the call holds no message; send one"))

    def closed(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
