"""Steps that are models of the router's process, and are handed values in the place of JSON.

The model server's application is asked as `graph_local` asks it; only the reading of the body and
the writing of the answer are left out where both sides are of this process (`graph_values`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sampan.protocol import media
from sampan.router.body import Body, Carried, text_of
from sampan.router.headers import Header
from sampan.server.exchange import Exchange
from sampan.server.graph_gathered import Asked
from sampan.server.graph_local import HandedResponse, LocalCall, LocalTarget
from sampan.server.graph_values import carry, read_request, read_rows, size_of
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.reading import Reading, read
from sampan.server.rest import Rest
from sampan.server.rest_calls import V1Call, V2Call
from sampan.wire.message import Request

_OWN_FORM = frozenset({b"content-encoding", b"inference-header-content-length"})
"""Headers that say how a body is to be read: it is not JSON, or not that alone."""


class HandedTarget(LocalTarget):
    """One step's model. Made and used on its loop's thread."""

    def __init__(
        self, rest: Rest, asked: Asked, path: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(rest.submit, path.encode(), loop)
        self._rest = rest
        self._asked = asked

    def ask(self, headers: Sequence[Header], body: Body, call: LocalCall) -> None:
        """Have a call answered: as a request where its headers say that it is no plain JSON."""
        request = self.make_request(headers, body if isinstance(body, bytes) else b"")
        reading = read(request)
        if not _is_json(request, reading):
            super().ask(headers, body, call)
            return
        exchange = Exchange(request, call, None, reading.identified)
        handed = _Handed(exchange, self._asked, reading, body)
        try:
            self._rest.begin(handed.make_inference(), exchange)
        except Exception as error:  # noqa: BLE001  # becomes the answer
            exchange(self._rest.refuse(error))


class _Handed:
    """A V1 or V2 request whose body may be a value, and so may its answer."""

    __slots__ = ("_asked", "_body", "_call", "_request", "_stamp")

    def __init__(self, exchange: Exchange, asked: Asked, reading: Reading, body: Body) -> None:
        request = exchange.request
        self._asked = asked
        self._body = body
        self._request = request
        self._stamp = exchange.stamp
        self._call: V1Call | V2Call = (
            V2Call(request, asked.model, self._stamp)
            if asked.v2
            else V1Call(request, asked.model, reading, self._stamp)
        )

    def make_inference(self) -> Inference:
        """Return the inference of the call."""
        texts, size = self._request.texts(), size_of(self._body)
        return Inference(self._asked.model, texts, size, self._decode, self._encode)

    def _decode(self) -> Any:
        payload = self._read(self._body) if isinstance(self._body, Carried) else None
        if payload is not None:
            return payload
        self._request.body = text_of(self._body)
        return self._call.decode()

    def _read(self, body: Carried) -> Any:
        if self._asked.v2:
            return read_request(body.value, self._asked.model)
        rows = read_rows(body.value)  # a list all the same: models are promised one
        return None if rows is None else {"instances": rows.tolist()}

    def _encode(self, result: Any, headers: Headers) -> Any:
        carried = None if headers else carry(result)
        if carried is None:
            return self._call.encode(result, headers)
        response = HandedResponse(200, b"", media.JSON, self._stamp)
        response.carried = carried
        return response


def _is_json(request: Request, reading: Reading) -> bool:
    own = any(name in _OWN_FORM for name, _ in request.headers)
    return reading.json and not reading.event and not own
