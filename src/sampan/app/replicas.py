"""The launcher's replicas as the API server's source of pods and logs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable

from sampan.apiserver.replicas import LogOptions
from sampan.machinery.errors import BadRequest, NotFound
from sampan.machinery.registry import JsonObject
from sampan.platforms.local.changes import Changes
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.pods import make_pod


class Replicas:
    """Implements `sampan.apiserver.replicas.ReplicaSource`.

    `changed` is told of each change of a replica; it has one reader, the view of pods.
    """

    def __init__(self, launcher: Launcher, changed: Changes) -> None:
        self._launcher = launcher
        self._changed = changed

    async def pods(self) -> Iterable[JsonObject]:
        """Return every replica as a Pod."""
        return [make_pod(state) for state in self._launcher.states()]

    def changes(self) -> AsyncIterator[object]:
        """Yield whenever a replica has changed."""
        return aiter(self._changed)

    async def log(self, namespace: str, name: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Yield the lines of a replica's log; raise NotFound or BadRequest before the first."""
        state = self._launcher.state(name)
        if state.spec.service.namespace != namespace:
            raise NotFound(f'pods "{name}" not found')
        if options.since:
            raise BadRequest("logs are not kept with their times; use tailLines instead of since")
        logs = self._launcher.logs
        service = state.spec.service
        if options.previous and not logs.path(service, name, previous=True).exists():
            raise BadRequest(f'previous terminated container in pod "{name}" not found')
        left = options.limit_bytes
        async for line in logs.tail(
            service,
            name,
            lines=options.tail_lines,
            follow=options.follow,
            previous=options.previous,
        ):
            data = _stamped(line, options).encode() + b"\n"
            if left is not None:
                data = data[:left]
                left -= len(data)
            if data:
                yield data
            if left == 0:
                return


def _stamped(line: str, options: LogOptions) -> str:
    # The time at which the line was read: the log itself holds what the process wrote, no more.
    if not options.timestamps:
        return line
    return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}"
