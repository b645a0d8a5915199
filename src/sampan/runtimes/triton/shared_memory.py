"""Memory that clients on this machine share with the server (Triton, "Shared-Memory Extension").

A client names an object of `/dev/shm`; tensors are read from it and written to it in place of being
sent. It is read and written by calls, not mapped: an object that its owner makes shorter meanwhile
would end a process that looks into it.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import (
    REGION,
    InferOutput,
    InferRequest,
    InferResponse,
    Parameters,
)
from sampan.protocol.v2 import raw_contents

SIZE, OFFSET = "shared_memory_byte_size", "shared_memory_offset"
FLAG = "--allow-shared-memory"
_ROOT = Path("/dev/shm")  # noqa: S108  # where POSIX shared memory lies on Linux


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Region:
    """A registered part of an object: so many bytes from an offset on. Its file is closed when the
    last who uses it is done."""

    name: str
    key: str
    offset: int
    byte_size: int
    file: int

    def shown(self) -> JsonObject:
        """Return it as clients see it."""
        return {
            "name": self.name,
            "key": self.key,
            "offset": self.offset,
            "byte_size": self.byte_size,
        }


class SharedMemory:
    """The regions that clients have registered. `allowed`: whether the operator lets them."""

    def __init__(self, *, allowed: bool = False) -> None:
        self._allowed = allowed
        self._regions: dict[str, Region] = {}

    # -- regions -----------------------------------------------------------------------------

    def register(self, name: str, given: Mapping[str, Any]) -> None:
        """Register a region by `key`, `offset` and `byte_size`; InvalidInput tells why not."""
        if not self._allowed:
            raise InvalidInput(
                f"shared memory is off, for any client of this machine would read and write the "
                f"server's through it; start the server with {FLAG}=true to let them"
            )
        key, offset, size = given.get("key", ""), given.get("offset", 0), given.get("byte_size", 0)
        if not name:
            raise InvalidInput("the region has no name; give one")
        if name in self._regions:
            raise InvalidInput(
                f"shared memory region '{name}' is registered already; unregister it first"
            )
        if type(offset) is not int or type(size) is not int or offset < 0 or size < 1:
            raise InvalidInput(
                f'region "{name}" has offset {offset!r} and byte_size {size!r}; give whole '
                "numbers, from 0 and from 1"
            )
        region = Region(name, key, offset, size, _open(name, key, offset + size))
        weakref.finalize(region, os.close, region.file)
        self._regions[name] = region

    def unregister(self, name: str) -> None:
        """Forget a region, all of them where the name is empty. One that is not there is fine."""
        for one in [name] if name else list(self._regions):
            self._regions.pop(one, None)

    def regions(self, name: str) -> list[JsonObject]:
        """Return the region of a name, all where it is empty; InvalidInput names one not there."""
        if name:
            return [self._get(name).shown()]
        return [region.shown() for region in self._regions.values()]

    def _get(self, name: Any) -> Region:
        region = self._regions.get(name)
        if region is None:
            raise InvalidInput(f"Unable to find shared memory region: '{name}'; register it first")
        return region

    # -- tensors -----------------------------------------------------------------------------

    def fill(self, request: InferRequest) -> None:
        """Give the inputs that lie in regions their contents."""
        for tensor in request.inputs:
            if tensor.elsewhere:
                region, offset, size = self._place(tensor.name, tensor.parameters or {})
                tensor.set_raw(memoryview(os.pread(region.file, size, region.offset + offset)))

    def place(self, response: InferResponse) -> None:
        """Write the outputs that are asked for in regions, and say so in the answer."""
        wanted = {one.name: one.parameters or {} for one in response.requested_outputs or ()}
        response.outputs = [
            self._write(output, wanted[output.name])
            if REGION in wanted.get(output.name, {})
            else output
            for output in response.outputs
        ]

    def _write(self, output: InferOutput, wanted: Parameters) -> InferOutput:
        """Write an output into its region; return it without its contents."""
        region, offset, size = self._place(output.name, wanted)
        raw = raw_contents(output)
        if len(raw) > size:
            raise InvalidInput(
                f'output "{output.name}" takes {len(raw)} bytes, and {SIZE} is {size}; give it as '
                "much"
            )
        os.pwrite(region.file, raw, region.offset + offset)
        told: Parameters = {REGION: region.name, SIZE: len(raw)}
        if offset:
            told[OFFSET] = offset
        return InferOutput(output.name, output.shape, output.datatype, None, told)

    def _place(self, tensor: str, parameters: Mapping[str, Any]) -> tuple[Region, int, int]:
        """Return where a tensor lies: its region, offset and size; InvalidInput where outside."""
        region = self._get(parameters[REGION])
        offset, size = parameters.get(OFFSET, 0), parameters.get(SIZE, 0)
        whole = type(offset) is int and type(size) is int and offset >= 0 and size > 0
        if not whole or offset + size > region.byte_size:
            raise InvalidInput(
                f'tensor "{tensor}" has {SIZE} {size!r} and {OFFSET} {offset!r}, and region '
                f'"{region.name}" {region.byte_size} bytes; name a part of it'
            )
        return region, offset, size


def uses_regions(request: InferRequest) -> bool:
    """Whether a request reads or writes shared memory."""
    return any(tensor.elsewhere for tensor in request.inputs) or any(
        REGION in (wanted.parameters or {}) for wanted in request.request_outputs or ()
    )


def _open(name: str, key: Any, end: int) -> int:
    """Return the file of a shared memory object that has so many bytes."""
    plain = key.removeprefix("/") if isinstance(key, str) else ""
    if not plain or "/" in plain or "\0" in plain or plain in {".", ".."}:
        raise InvalidInput(
            f'region "{name}" has key {key!r}; give the name of a shared memory object, as in "/x"'
        )
    try:
        file = os.open(_ROOT / plain, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInput(
            f"Unable to open shared memory region: '{name}': {error.strerror}; make the object "
            f'"{key}" for the server\'s user first'
        ) from None
    seen = os.fstat(file)
    if not stat.S_ISREG(seen.st_mode) or seen.st_size < end:
        os.close(file)
        raise InvalidInput(
            f'region "{name}" ends at byte {end}, and "{key}" has {seen.st_size}; name a part of it'
        )
    return file
