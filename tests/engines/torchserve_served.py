"""A store of archives behind TorchServe's interface, with real handlers, in this process."""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener


def write_handler(store: Path, file: str, code: str, config: str = "", **model: str) -> None:
    """Write an archive of a handler that needs no weights."""
    manifest = {"modelName": "said", "modelVersion": "1.0", "handler": "said.py", **model}
    if config:
        manifest["configFile"] = "model-config.yaml"
    with zipfile.ZipFile(store / file, "w") as made:
        made.writestr(MANIFEST, json.dumps({"runtime": "python", "model": manifest}))
        made.writestr("said.py", code)
        if config:
            made.writestr("model-config.yaml", config)


@asynccontextmanager
async def serving(store: Path, **options: str) -> AsyncIterator[str]:
    """Load the store and listen on loopback; give the address."""
    given = {name.replace("_", "-"): value for name, value in options.items()}
    offer = make_offer(Order("model", store, trust=True, options=given))
    for name in offer.repository.names():
        offer.repository.get(name).model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    rest = Rest(dataplane, None, None, offer.api)
    listener = Listener(rest.submit, None, Grpc(dataplane, api=offer.api))
    await listener.listen("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.address[1]}"
    finally:
        await listener.drain(0)
        for name in offer.repository.names():
            offer.repository.get(name).model.stop()
