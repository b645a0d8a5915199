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
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

from .plain_http2 import PlainHttp2

Post: TypeAlias = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Posts a body to a path; status and body of the answer."""
Ask: TypeAlias = Callable[[int], Awaitable[str]]
"""Asks for a number; the number that was answered, or what came instead."""

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
    def path(self) -> str:
        return f"/serving/default/{self.service}"

    def numbers(self) -> Counter[int]:
        return Counter(number for found in self.answered.values() for number in found)

    async def run(self, each: int) -> None:
        """Ask until it is over."""
        authority = ("grpc.default_authority", f"{self.service}.default.localhost")
        address = f"127.0.0.1:{self.port}"
        # Each client its own connection: the default would share one among all of a process.
        options = [authority, ("grpc.use_local_subchannel_pool", 1)]
        one = httpx.AsyncClient(timeout=60)
        twos = [PlainHttp2(self.port) for _ in range(2 * each)]
        async with one, InferenceGRPCClient(address, channel_args=options, retries=0) as rpc:
            ones = [lambda path, body: self._by_httpx(one, path, body)] * each
            posts = {"HTTP/1.1": ones, "HTTP/2": [two.post for two in twos]}
            asks: list[tuple[str, Ask]] = [("gRPC", partial(self._grpc, rpc))] * each
            for wire, found in posts.items():
                asks += [(wire, partial(self._rest, post)) for post in found[:each]]
                asks += [
                    (f"SSE over {wire}", partial(self._events, post)) for post in found[-each:]
                ]
            self.answered = {kind: [] for kind, _ in asks}
            async with asyncio.TaskGroup() as group:
                for kind, ask in asks:
                    group.create_task(self._client(kind, ask))
        for two in twos:
            two.close()

    def end(self) -> None:
        self._over.set()

    async def _client(self, kind: str, ask: Ask) -> None:
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

    async def _by_httpx(
        self, client: httpx.AsyncClient, path: str, body: bytes
    ) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"}
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = await client.post(url, content=body, headers=headers)
        return answer.status_code, answer.content

    async def _rest(self, post: Post, number: int) -> str:
        path = f"{self.path}/v1/models/noting:predict"
        status, text = await post(path, json.dumps({"instances": [number]}).encode())
        return str(json.loads(text)["predictions"][0]) if status == 200 else f"{status}: {text!r}"

    async def _events(self, post: Post, number: int) -> str:
        path = f"{self.path}/v2/models/noting/generate_stream"
        status, text = await post(path, json.dumps({"parts": number}).encode())
        if status != 200:
            return f"{status}: {text!r}"
        events = [json.loads(e[6:]) for e in text.decode().split("\n\n") if e.startswith("data: ")]
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
