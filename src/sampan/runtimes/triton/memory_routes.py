"""Triton's shared-memory extension over REST and gRPC. Memory of GPUs is not taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.runtimes.triton.documents import decode, encode
from sampan.runtimes.triton.shared_memory import SharedMemory
from sampan.server.exchange import Exchange
from sampan.server.rest import Handler, Route
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

_SERVICE = b"/inference.GRPCInferenceService/"
_SYSTEM, _CUDA = "/v2/systemsharedmemory", "/v2/cudasharedmemory"
_NO_CUDA = "memory of GPUs is not shared; register system shared memory, or send tensors"


class MemoryApi:
    """The interface over the regions of a server."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory

    def routes(self) -> Iterable[tuple[Pattern, Handler]]:
        """Return the REST routes."""
        for root, show, register, unregister in (
            (_SYSTEM, self._memory.regions, self._memory.register, self._memory.unregister),
            (_CUDA, _no_regions, _refuse_cuda, _forget_cuda),
        ):
            region = root + "/region/{name}"
            for place in (root, region):
                told, forgot = f"{place}/status", f"{place}/unregister"
                yield Pattern("GET", told, f"triton {told}"), _tell(show)
                yield Pattern("POST", forgot, f"triton {forgot}"), _forget(unregister)
            took = f"{region}/register"
            yield Pattern("POST", took, f"triton {took}"), _take(register)

    def methods(self) -> Mapping[bytes, Callable[[bytes], bytes]]:
        """Return the gRPC methods."""
        named: dict[str, Callable[[bytes], bytes]] = {
            "SystemSharedMemoryStatus": self._rpc_status,
            "SystemSharedMemoryRegister": self._rpc_register,
            "SystemSharedMemoryUnregister": self._rpc_unregister,
            "CudaSharedMemoryStatus": lambda _: b"",
            "CudaSharedMemoryRegister": lambda _: _refuse_cuda("", {}),
            "CudaSharedMemoryUnregister": lambda _: b"",
        }
        return {_SERVICE + name.encode(): act for name, act in named.items()}

    def _rpc_status(self, data: bytes) -> bytes:
        regions = self._memory.regions(decode("SharedMemoryName", data).get("name", ""))
        return encode("SharedMemoryStatus", {"regions": {one["name"]: one for one in regions}})

    def _rpc_register(self, data: bytes) -> bytes:
        given = decode("SharedMemoryRegion", data)
        self._memory.register(given.get("name", ""), given)
        return b""

    def _rpc_unregister(self, data: bytes) -> bytes:
        self._memory.unregister(decode("SharedMemoryName", data).get("name", ""))
        return b""


def _no_regions(name: str) -> list[JsonObject]:
    if name:
        raise InvalidInput(_NO_CUDA)
    return []


def _refuse_cuda(name: str, given: Mapping[str, Any]) -> Any:
    del name, given
    raise InvalidInput(_NO_CUDA)


def _forget_cuda(name: str) -> None:
    """Do nothing: there is none."""


def _tell(show: Callable[[str], list[JsonObject]]) -> Handler:
    def handler(request: Request, reply: Exchange, route: Route) -> None:
        del request
        reply(Response(200, orjson.dumps(show(route.parameters.get("name", "")))))

    return handler


def _take(register: Callable[[str, Mapping[str, Any]], None]) -> Handler:
    def handler(request: Request, reply: Exchange, route: Route) -> None:
        try:
            given = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"the body is no JSON ({error}); send an object") from None
        if not isinstance(given, dict):
            raise InvalidInput(f"the body is {given!r}; send key, offset and byte_size")
        register(route.parameters["name"], given)
        reply(Response(200, b"{}"))

    return handler


def _forget(unregister: Callable[[str], None]) -> Handler:
    def handler(request: Request, reply: Exchange, route: Route) -> None:
        del request
        unregister(route.parameters.get("name", ""))
        reply(Response(200, b"{}"))

    return handler
