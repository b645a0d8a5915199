"""A served repository on a real socket, and the model that the tables speak of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.runtimes.sklearn import SKLearnModel
from sampan.server.dataplane import DataPlane
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener


class Echo(Model):
    """Answers with what it was given."""

    def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's names
        if not isinstance(payload, InferRequest):
            return payload
        outputs = []
        for tensor in payload.inputs:
            array = tensor.as_numpy()
            output = InferOutput(tensor.name, list(array.shape), tensor.datatype)
            output.set_data_from_numpy(array)
            outputs.append(output)
        return InferResponse(
            payload.id or "gen",
            self.name,
            outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Server:
    """A running server and how to ask it."""

    listener: Listener
    dataplane: DataPlane

    async def ask(
        self, method: str, path: str, body: bytes | str = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request on a connection of its own; return the answer within ten seconds."""
        raw = body.encode() if isinstance(body, str) else body
        reader, writer = await asyncio.open_connection(*self.listener.address)
        lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines.append(f"Content-Length: {len(raw)}\r\n\r\n")
        writer.write("\r\n".join(lines).encode("latin-1") + raw)
        answer = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        first, *others = head.decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in others)
        return Answer(int(first.split()[1]), fields, rest)


Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers for models that are loaded already."""
    listeners: list[Listener] = []

    async def starter(*models: Model, limits: Limits | None = None, make: Any = None) -> Server:
        repository = ModelRepository(make)
        for model in models:
            repository.update(model)
        dataplane = DataPlane(repository, Workers(4))
        dataplane.started = True
        listener = Listener(Rest(dataplane).submit, limits)
        await listener.listen("127.0.0.1", 0)
        listeners.append(listener)
        return Server(listener, dataplane)

    yield starter
    for listener in listeners:
        await listener.drain(0)


@pytest.fixture(scope="session")
def iris_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder that holds the model of KServe's tutorial."""
    folder = tmp_path_factory.mktemp("iris")
    joblib.dump(SVC(gamma="scale").fit(*load_iris(return_X_y=True)), folder / "model.joblib")
    return str(folder)


@pytest.fixture
def iris(iris_folder: str) -> SKLearnModel:
    """Return the tutorial's model, loaded, named "sk"."""
    model = SKLearnModel("sk", iris_folder)
    model.load()
    return model


@pytest.fixture
def echo() -> Echo:
    """Return a model that answers with its input."""
    model = Echo("echo")
    model.load()
    return model
