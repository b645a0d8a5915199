"""A server of TensorFlow's models on a real socket, as `sampan serve` puts it together."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sampan.runtimes.serving import Order
from sampan.runtimes.tensorflow.runtime import make_offer
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener


@dataclass
class Served:
    """Where it listens, and what it is made of."""

    address: str
    dataplane: DataPlane

    def text(self, path: str) -> str:
        """Return the body of a GET."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and decoded JSON of a GET, or of a POST where there is a body."""
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        request = urllib.request.Request(f"http://{self.address}{path}", data)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, orjson.loads(error.read())


@contextmanager
def serve(root: Path, *, trust: bool = False, name: str = "m", **options: str) -> Iterator[Served]:
    """Load what the options say and listen on loopback, on a thread of its own."""
    offer = make_offer(Order(name, root, trust, frozenset(), options))
    for one in offer.repository.names():
        offer.repository.get(one).model.load()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Listener, DataPlane, asyncio.Task[None]]:
        workers = Workers(4)
        dataplane = DataPlane(offer.repository, workers)
        dataplane.started = True
        listener = Listener(
            Rest(dataplane, None, None, offer.api).submit, None, Grpc(dataplane, api=offer.api)
        )
        await listener.listen("127.0.0.1", 0)
        assert offer.beside is not None
        return listener, dataplane, asyncio.ensure_future(offer.beside(workers))

    listener, dataplane, beside = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
    try:
        yield Served(f"127.0.0.1:{listener.address[1]}", dataplane)
    finally:
        loop.call_soon_threadsafe(beside.cancel)
        asyncio.run_coroutine_threadsafe(listener.drain(0), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        for one in offer.repository.names():
            offer.repository.get(one).model.stop()
