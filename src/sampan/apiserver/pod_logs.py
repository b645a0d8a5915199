"""The log of a pod, as it is or as it grows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from sampan.apiserver.call import Call
from sampan.apiserver.log_options import parse_log_options
from sampan.apiserver.messages import Reply
from sampan.apiserver.replicas import ReplicaSource
from sampan.apiserver.until import until
from sampan.apiserver.view import View
from sampan.machinery.clock import Clock
from sampan.machinery.errors import BadRequest
from sampan.machinery.registry import JsonObject

LOG_TYPE = "text/plain"


class Logs:
    """Answers `kubectl logs` from the platform that runs the replicas."""

    def __init__(
        self, replicas: ReplicaSource, pods: View, clock: Clock, stopping: asyncio.Event
    ) -> None:
        self._replicas = replicas
        self._pods = pods
        self._clock = clock
        self._stopping = stopping

    async def get(self, call: Call) -> Reply:
        """Return the log of a pod; it goes on while followed."""
        options = parse_log_options(call.request.query, self._clock.now())
        pod = await self._pods.get(call.key)
        _check_container(pod, options.container)
        pieces = self._replicas.log(call.route.namespace, call.route.name, options)
        # The first piece is awaited here, so that an error can still be an HTTP status.
        first = None if options.follow else await anext(pieces, b"")
        return Reply(media_type=LOG_TYPE, stream=self._until_stop(first, pieces))

    async def _until_stop(
        self, first: bytes | None, pieces: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        if first:
            yield first
        over = asyncio.ensure_future(self._stopping.wait())
        async with contextlib.aclosing(until(pieces, over)) as stream:
            async for piece in stream:
                yield piece


def _check_container(pod: JsonObject, container: str) -> None:
    spec = pod.get("spec", {})
    names = [
        c.get("name", "") for kind in ("containers", "initContainers") for c in spec.get(kind) or ()
    ]
    if container and names and container not in names:
        listed = ", ".join(f'"{n}"' for n in names)
        raise BadRequest(
            f"container {container} is not valid for pod {pod['metadata']['name']}; it has {listed}"
        )
