"""The front of the agent: what each request meets on its way to the component.

KServe, agent: probes are answered by the agent itself; what is left is logged, batched where it is
a V1 prediction, and passed on. The log sees each client's own request and answer.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

from sampan.agent.batcher import Batcher, is_batched
from sampan.agent.events import REQUEST, RESPONSE, Event, render_metadata
from sampan.agent.log import Log
from sampan.agent.probing import NETWORK_PROBE, QUEUE, is_probe
from sampan.agent.proxy import TEXT, Proxy
from sampan.wire.message import Reply, Request, Response

_STOPPING = Response(503, b"shutting down\n", TEXT)
_NOT_READY = Response(503, b"the component is not ready\n", TEXT)
_READY = Response(200, QUEUE, TEXT)
_MOST_LOGGED = 16 * 1024 * 1024  # of an answer that streams; what is longer is logged cut off


class Front:
    """The application that a wire submits requests to. Set `stopping` to be no longer ready."""

    def __init__(
        self,
        proxy: Proxy,
        is_ready: Callable[[], Awaitable[bool]],
        *,
        batcher: Batcher | None = None,
        log: Log | None = None,
        mode: str = "all",
    ) -> None:
        self._proxy = proxy
        self._is_ready = is_ready
        self._batcher = batcher
        self._log = log
        self._requests = log is not None and mode in {"all", "request"}
        self._responses = log is not None and mode in {"all", "response"}
        self._probing: set[asyncio.Task[None]] = set()
        self.stopping = False

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or later."""
        if is_probe(dict(request.headers)):
            self._probe(request, reply)
            return
        told = self._logged(request, reply) if self._log is not None else reply
        if self._batcher is not None and is_batched(request):
            self._batcher.add(request, told)
            return
        cancel = self._proxy.send(request, told)
        watch = getattr(reply, "when_gone", None)
        if watch is not None:
            watch(cancel)

    # -- health ------------------------------------------------------------------------------

    def _probe(self, request: Request, reply: Reply) -> None:
        asked = request.header(NETWORK_PROBE) or QUEUE
        if self.stopping:
            reply(_STOPPING)
        elif asked != QUEUE:
            reply(Response(400, b"unexpected probe header value: " + asked + b"\n", TEXT))
        else:
            task = asyncio.get_running_loop().create_task(self._ask(reply))
            self._probing.add(task)
            task.add_done_callback(self._probing.discard)

    async def _ask(self, reply: Reply) -> None:
        reply(_READY if await self._is_ready() else _NOT_READY)

    # -- the log -----------------------------------------------------------------------------

    def _logged(self, request: Request, reply: Reply) -> Reply:
        """Log a request; return a reply that logs its answer, where it is 200."""
        log = self._log
        if log is None:
            return reply
        name = (request.header(b"ce-id") or b"").decode("latin-1") or str(uuid.uuid4())
        content_type = request.header(b"content-type") or b""
        metadata = render_metadata(request.headers, log.origin.metadata_headers)

        def add(kind: str, body: bytes) -> None:
            log.add(Event(name, kind, time.time(), content_type, body, metadata))

        if self._requests:
            add(REQUEST, request.body)
        if not self._responses:
            return reply

        def tell(response: Response) -> None:
            if response.status == 200 and response.chunks is not None:
                copied = _copy(response.chunks, lambda body: add(RESPONSE, body))
                response = response._replace(chunks=copied)
            elif response.status == 200:
                add(RESPONSE, response.body)
            reply(response)

        return tell


async def _copy(
    chunks: AsyncIterator[bytes], told: Callable[[bytes], None]
) -> AsyncIterator[bytes]:
    """Yield what comes, and tell all of it in the end."""
    seen = bytearray()
    try:
        async for chunk in chunks:
            if len(seen) < _MOST_LOGGED:
                seen += chunk
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
        told(bytes(seen))
