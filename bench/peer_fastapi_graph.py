"""A Sequence of three as one writes it with FastAPI and httpx: `python FILE PORT BACKEND`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request


def make_app(backend: str) -> FastAPI:
    """Return the router; it keeps its connections."""
    clients: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            clients.append(client)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/")
    async def route(request: Request) -> object:
        body = await request.json()
        for _ in range(3):
            body = (await clients[0].post(backend, json=body)).json()
        return body

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
