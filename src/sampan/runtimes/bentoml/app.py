"""The application behind everything: BentoML's own, from when the service is there."""

from __future__ import annotations

import asyncio
from typing import Any

from sampan.runtimes.bentoml.service import Service
from sampan.wire.asgi import Receive, Scope, Send

_LIVE = ("/livez", "/healthz")


class BentoApp:
    """An ASGI application. Before the service has begun it is alive, and nothing more."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or live: the service begins when it is loaded and ends with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._service.instance is None:
            await self._answer_early(scope, send)
        else:
            await self._service.app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._service.loop = asyncio.get_running_loop()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer_early(self, scope: Scope, send: Send) -> None:
        alive = scope["path"] in {f"{self._service.prefix}{path}" for path in _LIVE}
        body: Any = b"\n" if alive else b'{"error":"the service is being loaded; ask again"}'
        kind = b"text/plain; charset=utf-8" if alive else b"application/json"
        headers = [(b"content-type", kind)]
        status = 200 if alive else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
