"""Joining V1 predictions: several requests become one for the model, and its answer is parted.

KServe, batcher: requests whose path ends in `:predict` wait until there are `max_size` instances,
or until the first of them has waited `max_latency`. An answer is `message`, `batchId` and the
request's own `predictions`; what the model refuses is a `message` with status 200. Unlike there,
only requests of one path come together: two models share no batch.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from sampan.agent.proxy import TEXT, Send
from sampan.wire.message import Reply, Request, Response

_JSON = b"application/json"


@dataclass(slots=True)
class Batch:
    """Requests of one path that wait, and their instances in the order in which they came."""

    instances: list[Any] = field(default_factory=list)
    waiting: list[tuple[Reply, int, int]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Batcher:
    """Gathers requests by their path. `max_latency` is seconds."""

    def __init__(self, send: Send, max_size: int, max_latency: float) -> None:
        self._send = send
        self._max_size = max_size
        self._max_latency = max_latency
        self._batches: dict[bytes, Batch] = {}

    def add(self, request: Request, reply: Reply) -> None:
        """Take a request into a batch, or refuse it."""
        try:
            instances = parse_instances(request.body)
        except ValueError as error:
            reply(Response(400, f"{error}\n".encode(), TEXT))
            return
        batch = self._batches.setdefault(request.target, Batch())
        start = len(batch.instances)
        batch.instances += instances
        batch.waiting.append((reply, start, len(batch.instances)))
        if len(batch.instances) >= self._max_size:
            self.flush(request.target)
        elif batch.timer is None:
            loop = asyncio.get_running_loop()
            batch.timer = loop.call_later(self._max_latency, self.flush, request.target)

    def flush(self, target: bytes) -> None:
        """Ask the model for all that wait at a path."""
        batch = self._batches.pop(target)
        if batch.timer is not None:
            batch.timer.cancel()
        body = orjson.dumps({"instances": batch.instances})
        asked = Request(b"POST", target, [(b"host", b"localhost"), (b"content-type", _JSON)], body)

        def part(response: Response) -> None:
            spans = [(start, end) for _, start, end in batch.waiting]
            for (reply, _, _), answer in zip(batch.waiting, split(response, spans), strict=True):
                reply(answer)

        self._send(asked, part)


def is_batched(request: Request) -> bool:
    """Tell whether a request is a V1 prediction, which may wait for others."""
    return request.method == b"POST" and request.target.partition(b"?")[0].endswith(b":predict")


def parse_instances(body: bytes) -> list[Any]:
    """Return the instances of a V1 request; ValueError in KServe's words."""
    try:
        found = orjson.loads(body)
    except ValueError:
        raise ValueError("can't Unmarshal body") from None
    instances = found.get("instances") if isinstance(found, dict) else None
    if not isinstance(instances, list) or not instances:
        raise ValueError("no instances in the request")
    return instances


def split(response: Response, spans: Sequence[tuple[int, int]]) -> list[Response]:
    """Return each request's part of an answer, by the places of its instances."""
    if response.status != 200:
        if response.status == 502:  # nobody answered: that is no message of a model's
            return [response] * len(spans)
        text = response.body.decode(errors="replace")
        return [_answer(text, "", None)] * len(spans)
    batch = str(uuid.uuid4())
    try:
        found = orjson.loads(response.body)
    except ValueError as error:
        return [_answer(str(error), batch, None)] * len(spans)
    predictions = found.get("predictions") if isinstance(found, dict) else None
    if not isinstance(predictions, list) or len(predictions) != spans[-1][1]:
        wrong = "size of prediction is not equal to the size of instances"
        return [_answer(wrong, batch, None)] * len(spans)
    return [_answer("", batch, predictions[start:end]) for start, end in spans]


def _answer(message: str, batch: str, predictions: Sequence[Any] | None) -> Response:
    body = {"message": message, "batchId": batch, "predictions": predictions}
    return Response(200, orjson.dumps(body), _JSON)
