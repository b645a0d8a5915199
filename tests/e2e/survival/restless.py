"""Clients of four kinds that never rest, and a model that notes each number that it answers."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

MODEL = '''
"""Answers with the number that it is asked, after a while, and notes it: a line a prediction."""
import asyncio
import os

from sampan.sdk import InferOutput, InferRequest, InferResponse, Model


class Noting(Model):
    async def predict(self, payload, headers=None):
        await asyncio.sleep(0.03)
        if not isinstance(payload, InferRequest):
            return {"predictions": [note(n) for n in payload["instances"]]}
        (given,) = payload.inputs
        number = note(int(given.data[0]))
        if given.name == "parts":
            return parts(number)
        answer = InferOutput("number", [1], "INT64", [number])
        return InferResponse("1", self.name, [answer])


async def parts(number):
    for part in range(3):
        yield f"{number}/{part}"
        await asyncio.sleep(0.03)


def note(number):
    with open(os.environ["NOTED"], "a") as noted:
        noted.write(f"{number}\\n")
    return number
'''

SERVICE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  annotations: {annotations}
spec:
  predictor:
    {fields}
    containers:
      - name: kserve-container
        image: example/noting
        command: [{sampan}, serve, "{model}:Noting"]
        args: [--model_name=noting, --http_port=8080, --grpc_port=0]
        env: [{{name: NOTED, value: {noted}}}, {{name: ROLL, value: "{roll}"}}]
        ports: [{{name: h2c, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /v2/health/ready, port: 8080}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 50m, memory: 64Mi}}}}
"""


@dataclass
class Noting:
    """A service of that model: what its YAML is made of."""

    name: str
    folder: Path
    command: Path
    fields: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.noted.touch()
        self.model.write_text(MODEL)

    @property
    def noted(self) -> Path:
        return self.folder / f"{self.name}.noted"

    @property
    def model(self) -> Path:
        return self.folder / "noting.py"

    def yaml(self, roll: int = 0) -> str:
        """Return the service; another `roll` is another template."""
        return SERVICE.format(
            name=self.name,
            annotations=json.dumps(self.annotations),
            fields="\n    ".join(f"{k}: {json.dumps(v)}" for k, v in self.fields.items()),
            sampan=self.command,
            model=self.model,
            noted=self.noted,
            roll=roll,
        )

    def counted(self) -> Counter[int]:
        """Return how often each number was answered."""
        return Counter(int(line) for line in self.noted.read_text().split())


@dataclass
class Lost:
    """A request without its answer: when it was sent, how, and what came instead."""

    at: float
    ended: float
    kind: str
    number: int
    what: str


@dataclass
class Clients:
    """One client of each kind or more, each with one request under way at any time.

    `answered` are the numbers that came back right, by kind.
    """

    port: int
    service: str
    answered: dict[str, list[int]] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _next: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/serving/default/{self.service}"

    def numbers(self) -> Counter[int]:
        return Counter(number for found in self.answered.values() for number in found)

    async def run(self, each: int) -> None:
        """Ask until it is over."""
        one, two = (httpx.AsyncClient(http1=h, http2=not h, timeout=60) for h in (True, False))
        authority = ("grpc.default_authority", f"{self.service}.default.localhost")
        address = f"127.0.0.1:{self.port}"
        # Each client its own connection: the default would share one among all of a process.
        options = [authority, ("grpc.use_local_subchannel_pool", 1)]
        async with one, two, InferenceGRPCClient(address, channel_args=options, retries=0) as rpc:
            kinds: dict[str, Callable[[int], Awaitable[str]]] = {
                "HTTP/1.1": lambda number: self._rest(one, number),
                "HTTP/2": lambda number: self._rest(two, number),
                "gRPC": lambda number: self._grpc(rpc, number),
                "SSE": lambda number: self._events(one, number),
                "SSE over HTTP/2": lambda number: self._events(two, number),
            }
            async with asyncio.TaskGroup() as group:
                for kind, ask in kinds.items():
                    self.answered[kind] = []
                    for _ in range(each):
                        group.create_task(self._client(kind, ask))

    def end(self) -> None:
        self._over.set()

    async def _client(self, kind: str, ask: Callable[[int], Awaitable[str]]) -> None:
        while not self._over.is_set():
            self._next += 1
            number, began = self._next, time.monotonic()
            try:
                found = await ask(number)
            except Exception as error:  # noqa: BLE001  # whatever was lost is told of at the end
                found = f"{type(error).__name__}: {error}"
            if found == str(number):
                self.answered[kind].append(number)
            else:
                self.lost.append(Lost(began, time.monotonic(), kind, number, found[:300]))
            await asyncio.sleep(0.01)

    async def _rest(self, client: httpx.AsyncClient, number: int) -> str:
        answer = await client.post(
            f"{self.base}/v1/models/noting:predict", json={"instances": [number]}
        )
        if answer.status_code != 200:
            return f"{answer.status_code}: {answer.text}"
        return str(answer.json()["predictions"][0])

    async def _events(self, client: httpx.AsyncClient, number: int) -> str:
        url = f"{self.base}/v2/models/noting/generate_stream"
        text = ""
        async with client.stream("POST", url, json={"parts": number}) as answer:
            async for piece in answer.aiter_text():
                text += piece
        if answer.status_code != 200:
            return f"{answer.status_code}: {text}"
        events = [json.loads(e[6:]) for e in text.split("\n\n") if e.startswith("data: ")]
        parts = [str(part) for event in events for part in event.values() if "/" in str(part)]
        return str(number) if parts == [f"{number}/{part}" for part in range(3)] else repr(text)

    async def _grpc(self, client: InferenceGRPCClient, number: int) -> str:
        given = InferInput("number", [1], "INT64", [number])
        answer = await client.infer(InferRequest("noting", [given]))
        return str(int(answer.outputs[0].as_numpy()[0]))


@contextmanager
def restless(port: int, service: str, each: int = 2) -> Iterator[Clients]:
    """Have clients ask a service in the background; at the end the last requests are waited for."""
    clients = Clients(port, service)
    thread = threading.Thread(target=lambda: asyncio.run(clients.run(each)), daemon=True)
    thread.start()
    try:
        yield clients
    finally:
        clients.end()
        thread.join(90)
    assert not thread.is_alive(), "a request hangs"
