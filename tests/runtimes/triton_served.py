"""A Triton repository on a real socket, as `sampan serve` puts it together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.runtimes import onnx_models as models

from sampan.runtimes.serving import Order
from sampan.runtimes.triton.runtime import make_offer
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

SIMPLE = """
name: "simple"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
output [
  { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
"""
"""Triton's first example: sums and differences of sixteen numbers."""


@dataclass
class Served:
    """Where it listens, and what it is made of."""

    address: str
    dataplane: DataPlane


def write_simple(root: Path, versions: tuple[int, ...] = (1,), config: str = SIMPLE) -> Path:
    for version in versions:
        models.save(models.add_sub(models.INT32), root / "simple" / str(version) / "model.onnx")
    if config:
        (root / "simple" / "config.pbtxt").write_text(config)
    return root


@asynccontextmanager
async def serve(root: Path, *, trust: bool = False, **options: str) -> AsyncIterator[Served]:
    """Load what the options say and listen on loopback."""
    given = {name.replace("_", "-"): value for name, value in options.items()}
    offer = make_offer(Order("model", root, trust, frozenset(), given))
    workers = Workers(4)
    dataplane = DataPlane(offer.repository, workers)
    for name in offer.repository.names():
        offer.repository.get(name).model.load()
    dataplane.started = True
    listener = Listener(
        Rest(dataplane, None, None, offer.api).submit, None, Grpc(dataplane, api=offer.api)
    )
    await listener.listen("127.0.0.1", 0)
    beside = asyncio.ensure_future(offer.beside(workers)) if offer.beside else None
    try:
        yield Served(f"127.0.0.1:{listener.address[1]}", dataplane)
    finally:
        if beside is not None:
            beside.cancel()
        await listener.drain(0)
        for name in offer.repository.names():
            offer.repository.get(name).model.stop()


def given(client: Any, rows: int = 1, size: int = 16) -> list[Any]:
    """Return the two inputs of "simple" for a client of tritonclient's."""
    one = np.tile(np.arange(size, dtype=np.int32), (rows, 1))
    tensors = []
    for name, array in (("INPUT0", one), ("INPUT1", np.ones_like(one))):
        made = client.InferInput(name, list(array.shape), "INT32")
        made.set_data_from_numpy(array)
        tensors.append(made)
    return tensors


SUM = (np.arange(16) + 1).tolist()
DIFFERENCE = (np.arange(16) - 1).tolist()
