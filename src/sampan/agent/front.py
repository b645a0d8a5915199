"""The front of the agent: what each request meets on its way to the component.

KServe, agent: probes are answered by the agent itself; what is left is logged, batched where it is
a V1 prediction, and passed on. The log sees each client's own request and answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from sampan.agent.batcher import Batcher, is_batched
from sampan.agent.probing import NETWORK_PROBE, QUEUE, is_probe
from sampan.agent.proxy import TEXT, Proxy
from sampan.agent.recorder import MOST_BYTES, Recorder
from sampan.wire.message import Reply, Request, Response

_STOPPING = Response(503, b"shutting down\n", TEXT)
_NOT_READY = Response(503, b"the component is not ready\n", TEXT)
_READY = Response(200, QUEUE, TEXT)


class Front:
    """The application that a wire submits requests to. Set `stopping` to be no longer ready."""

    def __init__(
        self,
        proxy: Proxy,
        is_ready: Callable[[], Awaitable[bool]],
        *,
        batcher: Batcher | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._proxy = proxy
        self._is_ready = is_ready
        self._batcher = batcher
        self._recorder = recorder
        self._probing: set[asyncio.Task[None]] = set()
        self.stopping = False

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or later."""
        if is_probe(dict(request.headers)):
            self._probe(request, reply)
            return
        told = self._logged(self._recorder, request, reply) if self._recorder else reply
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

    @staticmethod
    def _logged(recorder: Recorder, request: Request, reply: Reply) -> Reply:
        """Log a request; return a reply that logs its answer, where it is 200."""
        entry = recorder.begin(request)
        entry.asked(request.body)
        if not entry.wants_answer:
            return reply

        def tell(response: Response) -> None:
            if response.status == 200 and response.chunks is not None:
                response = response._replace(chunks=_copy(response.chunks, entry.answered))
            elif response.status == 200:
                entry.answered(response.body)
            reply(response)

        return tell


async def _copy(
    chunks: AsyncIterator[bytes], told: Callable[[bytes], None]
) -> AsyncIterator[bytes]:
    """Yield what comes, and tell all of it in the end."""
    seen = bytearray()
    try:
        async for chunk in chunks:
            if len(seen) < MOST_BYTES:
                seen += chunk
            yield chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
        told(bytes(seen))
