"""The log of a pod, as it is or as it grows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator

from sampan.apiserver.call import Call
from sampan.apiserver.log_options import parse_log_options
from sampan.apiserver.messages import Reply
from sampan.apiserver.replicas import ReplicaSource
from sampan.apiserver.until import next_or_end, until
from sampan.apiserver.view import View
from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, BadRequest
from sampan.machinery.registry import JsonObject

log = logging.getLogger(__name__)

LOG_TYPE = "text/plain"
FIRST_LINE_SECONDS = 0.2


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
        first = asyncio.ensure_future(next_or_end(pieces))
        # Waited for shortly, so that what is wrong is still an HTTP status and not a broken stream.
        await asyncio.wait({first}, timeout=FIRST_LINE_SECONDS)
        if first.done():
            first.result()
        over = asyncio.ensure_future(self._stopping.wait())
        return Reply(media_type=LOG_TYPE, stream=until(_resumed(first, pieces), over))


async def _resumed(
    first: asyncio.Future[tuple[bool, bytes | None]], rest: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """Yield the piece that is awaited already, then the rest; `rest` is closed."""
    try:
        more, piece = await first
        if more and piece:
            yield piece
        async for later in rest:
            yield later
    except ApiError as error:  # the replica went away while its log was followed
        log.info("a followed log ends: %s", error.message)
    finally:
        first.cancel()
        if isinstance(rest, AsyncGenerator):
            await rest.aclose()


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
