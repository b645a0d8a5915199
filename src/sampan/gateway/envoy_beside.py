"""An Envoy that somebody else starts, whenever it is not there: the container beside ours.

Both see one folder and each other's processes (a pod's `emptyDir` and `shareProcessNamespace`). We
say there what is to be run; whoever runs it says there who it is. So what Envoy holds and passes on
outlives us, as on a laptop.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from sampan.gateway.config import BOOTSTRAP
from sampan.gateway.envoy import RECORD, Envoy, make_record, raise_file_limit
from sampan.gateway.folder import Folder
from sampan.gateway.process import Identity, observe_identity

COMMAND = "command.json"
"""What is to be run, beside the bootstrap that it names."""
LOOK_SECONDS = 0.1


@dataclass(slots=True)
class EnvoyBeside(Envoy):
    """One Envoy over one folder, run by who calls `become`."""

    _wanted: tuple[tuple[str, ...], bytes] = ((), b"")

    def start(self, command: tuple[str, ...], bootstrap: bytes) -> None:
        """Say what is to be run; it is known when it runs."""
        self.folder.write(BOOTSTRAP, bootstrap)
        self.folder.write(COMMAND, orjson.dumps(command))
        self._wanted = command, bootstrap

    async def wait(self) -> int | None:
        """Wait until what was asked for runs, and then until it has ended."""
        while self.identity is None and not self.adopt(*self._wanted):
            self.identity = None  # of another command: it is about to be ended
            await asyncio.sleep(LOOK_SECONDS)
        return await Envoy.wait(self)

    def adopt(self, command: tuple[str, ...], bootstrap: bytes) -> bool:
        """Recognise the process beside ours; whoever ends is told by `wait`."""
        self._wanted = command, bootstrap
        return Envoy.adopt(self, command, bootstrap)

    async def stop(self) -> None:
        """End it, for another to be started in its place; forget what was to be run."""
        (self.folder.root / COMMAND).unlink(missing_ok=True)
        await Envoy.stop(self)


def read_command(folder: Folder) -> tuple[str, ...] | None:
    """Return what is to be run, None while nothing is."""
    body = folder.read(COMMAND)
    return tuple(orjson.loads(body)) if body else None


def become(folder: Folder, command: tuple[str, ...], log: Path) -> None:
    """Turn this process into Envoy: the same pid, recorded before. Does not return.

    What Envoy says goes to its log, where the activator reads why something is refused.
    """
    bootstrap = folder.read(BOOTSTRAP) or b""
    identity = observe_identity(os.getpid()) or Identity(os.getpid(), 0)
    folder.write(RECORD, make_record(identity, command, bootstrap))
    raise_file_limit(os.getpid())
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted
