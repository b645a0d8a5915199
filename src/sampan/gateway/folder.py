"""The gateway's folder on disk: its files, private to the user, replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from sampan.gateway.binary import Field, decode_resources
from sampan.gateway.config import ADMIN, CLUSTERS_FILE, LISTENERS_FILE, ConfigFile, is_front
from sampan.gateway.errors import GatewayError
from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput

# A Unix socket's path has 108 bytes on Linux (104 on macOS), the end mark included.
_SOCKET_PATH_LIMIT = 103


def folder_of(state_dir: Path) -> Folder:
    """Return the folder of a gateway by its full path, as Envoy's configuration names it."""
    return Folder(state_dir.absolute())


@dataclass(frozen=True, slots=True)
class Folder:
    """Reads and writes below one folder (mode 0700, files 0600)."""

    root: Path

    def prepare(self) -> None:
        """Make the folder; raise GatewayError when its admin socket's path would be too long."""
        socket = str(self.root / ADMIN)
        if len(socket.encode()) > _SOCKET_PATH_LIMIT:
            raise GatewayError(
                "PathTooLong",
                f'the gateway\'s socket "{socket}" has {len(socket.encode())} bytes and a socket'
                f" may have {_SOCKET_PATH_LIMIT}; choose a shorter state folder with"
                " XDG_STATE_HOME",
            )
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None when there is no such file."""
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, body: bytes) -> None:
        """Move a file into place; Envoy sees the old one or the new one."""
        target = self.root / path
        # The moved file must come from another name in the same folder: that is what is watched.
        fresh = target.with_name(f".{target.name}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
        fresh.replace(target)

    def hand(self, path: str, body: bytes) -> None:
        """Put a watched file into place; Envoy sees the old one or the new one.

        A link to it is moved, not the file itself: what is moved over another file is written to
        the disk first (ext4), while Envoy waits. An Envoy that still reads an older one keeps it.
        """
        target = self.root / path
        link = target.with_name(f".{target.name}.link")
        first, second = (target.with_name(f".{target.name}.{number}") for number in "12")
        fresh = second if target.is_symlink() and target.readlink().name == first.name else first
        for old in (fresh, link):
            old.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
        link.symlink_to(fresh.name)
        link.replace(target)

    def hand_changed(self, file: ConfigFile) -> bool:
        """Put a file into place unless it stands there already; return whether it was written."""
        if self.read(file.path) == file.body:
            return False
        self.hand(file.path, file.body)
        return True

    def clusters(self) -> Mapping[str, Field]:
        """Return the CDS resources that stand on disk by name, whoever wrote them."""
        try:
            return dict(decode_resources(self.read(CLUSTERS_FILE) or b""))
        except InvalidInput:
            return {}

    def component_listeners(self) -> tuple[JsonObject, ...]:
        """Return the listeners of components that stand on disk, whoever wrote them."""
        return tuple(one for one in self._listeners() if not is_front(one))

    def component_ports(self) -> frozenset[int]:
        """Return the ports of those listeners."""
        addresses = (one["address"]["socket_address"] for one in self.component_listeners())
        return frozenset(address["port_value"] for address in addresses)

    def _listeners(self) -> tuple[JsonObject, ...]:
        body = self.read(LISTENERS_FILE)
        try:
            return tuple(orjson.loads(body)["resources"]) if body else ()
        except (orjson.JSONDecodeError, KeyError):
            return ()
