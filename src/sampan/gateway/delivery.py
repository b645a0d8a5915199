"""Handing configuration to Envoy: files moved into place, and the wait until Envoy has taken them.

Envoy says what it took by version (`version_text` statistics), and says why it refused in its log.
A refused file is put back as it was, so that a restart of Envoy never starts from it. What Envoy is
known to have is not delivered again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson

from sampan.gateway.ask import Address, ask
from sampan.gateway.config import ADMIN, ROUTES_FILE, ConfigFile
from sampan.gateway.envoy import LOG, Envoy, first_complaint
from sampan.gateway.errors import GatewayError
from sampan.gateway.folder import Folder
from sampan.gateway.process import Identity
from sampan.machinery.clock import Clock
from sampan.machinery.registry import JsonObject

# Envoy walks the statistics of every cluster for an answer, on the thread that takes the files;
# those of this type alone are few (2 ms of CPU time with a thousand clusters, where all are 6).
_VERSIONS = "/stats?format=json&type=TextReadouts"
_FILTER = quote("warming_clusters$|workers_started$", safe="")
_GAUGES = f"/stats?format=json&type=Gauges&filter={_FILTER}"
_ADMIN_SECONDS = 2.0
_FIRST_DELAY, _LONGEST_DELAY = 0.002, 0.05
_BYTE_SECONDS = 40e-9
"""What Envoy needs for a byte of routes or clusters, about: to ask sooner only makes it later."""
_REJECTED = re.compile(r"update rejected: (.*)")


@dataclass(slots=True)
class Delivery:
    """Delivers files to one Envoy. `limit_seconds` is how long it may take to take them."""

    folder: Folder
    envoy: Envoy
    clock: Clock
    limit_seconds: float = 10.0
    _taken: dict[str, tuple[Identity | None, str]] = field(default_factory=dict, repr=False)
    """By path: which Envoy has taken which version."""

    async def deliver(self, files: Sequence[ConfigFile]) -> None:
        """Write the files in order; return when Envoy has taken each and is ready to use it.

        Raise GatewayError `ConfigRejected` with Envoy's own words, or `ConfigNotTaken`.
        """
        envoy = self.envoy.identity
        files = [file for file in files if self._taken.get(file.path) != (envoy, file.version)]
        if not files:
            return
        for file in files:  # whoever cancels this leaves nobody knowing
            self._taken.pop(file.path, None)
        before = {file.path: self.folder.read(file.path) for file in files}
        mark = self.envoy.log_size()
        written = [file for file in files if before[file.path] != file.body]
        for file in written:
            self.folder.hand(file.path, file.body)
        try:
            async with asyncio.timeout(self.limit_seconds):
                await self.clock.sleep(_BYTE_SECONDS * sum(len(file.body) for file in written))
                refused = await self._wait_taken(files, mark)
        except TimeoutError:
            raise self._not_taken(files, mark) from None
        if refused:
            self._restore(before)
            raise GatewayError(
                "ConfigRejected",
                f"Envoy refuses the configuration: {refused}; the one before stays in force",
            )
        self._taken |= {file.path: (envoy, file.version) for file in files}

    async def admin(self, path: str) -> JsonObject:
        """Return the JSON that Envoy's admin interface answers; raise OSError or TimeoutError."""
        decoded: JsonObject = orjson.loads(await self.admin_text(path))
        return decoded

    async def admin_text(self, path: str) -> bytes:
        """Return what Envoy's admin interface answers; raise OSError or TimeoutError."""
        address = Address(socket=self.folder.root / ADMIN)
        answer = await ask(address, path, "admin", _ADMIN_SECONDS)
        if answer.status != 200:
            raise ConnectionError(f"Envoy's admin interface answers {answer.status} to {path}")
        return bytes(answer.body)

    async def command(self, path: str) -> None:
        """Have Envoy's admin interface change something; raise OSError or TimeoutError."""
        address = Address(socket=self.folder.root / ADMIN)
        answer = await ask(address, path, "admin", _ADMIN_SECONDS, "POST")
        if answer.status != 200:
            raise ConnectionError(f"Envoy's admin interface answers {answer.status} to {path}")

    async def active(self, cluster: str) -> int:
        """Return the requests under way to a cluster and its gRPC one; OSError or TimeoutError."""
        name = rf"^cluster\.{re.escape(cluster)}(/grpc)?\.upstream_rq_active$"
        answer = await self.admin(f"/stats?format=json&filter={quote(name, safe='')}")
        return sum(int(stat.get("value") or 0) for stat in answer["stats"])

    async def _wait_taken(self, files: Sequence[ConfigFile], mark: int) -> str:
        """Return empty when all are taken, else why one was refused."""
        delay = _FIRST_DELAY
        while True:
            if await self._is_taken(files):
                return ""
            rejected = _REJECTED.search(self.envoy.log_since(mark))
            if rejected:
                return rejected[1].strip()
            await self.clock.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _is_taken(self, files: Sequence[ConfigFile]) -> bool:
        """Return whether Envoy runs these versions, with its workers started and no cluster cold.

        Routes need no warming.
        """
        versions = await self._stats(_VERSIONS)
        if any(versions.get(file.stat) != file.version for file in files):
            return False
        return all(file.path == ROUTES_FILE for file in files) or is_warm(
            await self._stats(_GAUGES)
        )

    async def _stats(self, path: str) -> Mapping[str, object]:
        """Return statistics by name; none while Envoy (re)starts."""
        try:
            answer = await self.admin(path)
        except (OSError, TimeoutError):
            return {}
        return {stat["name"]: stat.get("value") for stat in answer["stats"] if "name" in stat}

    def _restore(self, before: Mapping[str, bytes | None]) -> None:
        for path, body in before.items():
            if body is not None and self.folder.read(path) != body:
                self.folder.hand(path, body)

    def _not_taken(self, files: Sequence[ConfigFile], mark: int) -> GatewayError:
        paths = ", ".join(f'"{file.path}"' for file in files)
        said = first_complaint(self.envoy.log_since(mark)) or "nothing"
        if not self.envoy.is_running():
            return GatewayError(
                "EnvoyExited",
                f"Envoy is not running, so {paths} wait; it said: {said}; it is started again by"
                ' itself, and "sampan doctor" checks what it needs',
            )
        return GatewayError(
            "ConfigNotTaken",
            f"Envoy has not taken {paths} in {self.limit_seconds:g} s; it said: {said}; more may"
            f' be in "{self.folder.root / LOG}"',
        )


def is_warm(gauges: Mapping[str, object]) -> bool:
    """Return whether Envoy's workers have started and no cluster is warming. Pure."""
    started = gauges.get("listener_manager.workers_started") == 1
    return started and gauges.get("cluster_manager.warming_clusters") == 0
