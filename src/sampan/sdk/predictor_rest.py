"""Asks a predictor by V1 or V2 over plain HTTP, on connections that are kept: no hop, one future.

What goes wrong is raised as KServe's SDK raises it, as httpx's errors, which are imported then:
model files catch them by those names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from sampan.client import calls
from sampan.client.forwarding import select_headers
from sampan.client.predictor_protocol import is_v2
from sampan.client.rest import encode_payload
from sampan.client.retry import RetryPolicy
from sampan.machinery.web_address import parse_address
from sampan.protocol.errors import InvalidInput
from sampan.sdk.predictor_config import PredictorConfig
from sampan.sdk.predictor_failure import make_failure, make_refusal
from sampan.wire.upstream import Pool
from sampan.wire.upstream_answer import Answer, CallFailed, UpstreamLimits

_MOST_BYTES = 1024**3  # of an answer: the predictor is the operator's own
_UNSENT = frozenset({"ConnectionRefused", "ConnectTimeout"})


class RestPredictor:
    """The connections to one predictor. They belong to the loop that is running when it is made.

    `config` says where it is and for how long it is waited for. InvalidAddress (a ValueError) for
    a host that is none.
    """

    def __init__(self, config: PredictorConfig) -> None:
        self.loop = asyncio.get_running_loop()
        self._config = config
        self._v2 = is_v2(config.protocol)
        self._retry = RetryPolicy(retries=config.retries)
        self._address = parse_address(config.predictor_base_url)
        limits = UpstreamLimits(body_bytes=_MOST_BYTES, connect_seconds=float(config.timeout))
        self._pool = Pool(self._address.origin, self.loop, limits)
        self._starts: dict[str, bytes] = {}

    async def predict(
        self,
        model_name: str,
        payload: Any,
        headers: Mapping[str, str] | None,
        response_headers: dict[str, str] | None,
    ) -> Any:
        """Return decoded JSON (V1) or an InferResponse (V2); `response_headers` is filled.

        Raises httpx's errors: HTTPStatusError where the predictor refuses, ConnectError,
        ReadTimeout and their like where it does not answer.
        """
        body, own = encode_payload(payload)
        head = b"%b%bcontent-length: %d\r\n\r\n" % (
            self._starts.get(model_name) or self._start(model_name),
            render_fields(own, select_headers(headers)),
            len(body),
        )
        answer = await self._ask(head, body)
        if not 200 <= answer.status < 300:
            raise make_refusal(answer, self._url(model_name))
        if response_headers is not None or self._v2:
            fields = read_fields(answer)
            if response_headers is not None:
                response_headers.update(fields)
            if self._v2:
                return calls.read_inference(calls.Answer(answer.status, fields, answer.body))
        return decode_json(answer.body)

    async def _ask(self, head: bytes, body: bytes) -> Answer:
        """Call, again where nobody took the connection; raise httpx's errors."""
        tried = 0
        while True:
            tried += 1
            result = await self._once(head, body)
            if isinstance(result, Answer):
                return result
            wait = self._retry.wait(tried) if result.reason in _UNSENT else None
            if wait is None:
                raise make_failure(result)
            await asyncio.sleep(wait)

    async def _once(self, head: bytes, body: bytes) -> Answer | CallFailed:
        told: asyncio.Future[Answer | CallFailed] = self.loop.create_future()
        cancel = self._pool.call(head, body, float(self._config.timeout), partial(_tell, told))
        try:
            return await told
        except asyncio.CancelledError:  # the client has left
            cancel()
            raise

    def close(self) -> None:
        """Close what is idle."""
        self._pool.close()

    def _start(self, model_name: str) -> bytes:
        """Return the first lines of a model's requests."""
        target = self._address.target.rstrip(b"/") + self._path(model_name).encode()
        authority = self._address.authority
        found = b"POST %b HTTP/1.1\r\nhost: %b\r\naccept: */*\r\n" % (target, authority)
        self._starts[model_name] = found
        return found

    def _path(self, model_name: str) -> str:
        name = quote(model_name, safe="")
        return f"/v2/models/{name}/infer" if self._v2 else f"/v1/models/{name}:predict"

    def _url(self, model_name: str) -> str:
        return self._config.predictor_base_url.rstrip("/") + self._path(model_name)


def render_fields(own: dict[str, str], passed: dict[str, str]) -> bytes:
    """Return header lines: those of the body, then those passed on. InvalidInput for a line end."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in (own | passed).items()])
    if lines.count("\n") != len(own) + len(passed) or lines.count("\r") != lines.count("\n"):
        names = ", ".join(f'"{name}"' for name, value in passed.items() if set(value) & {*"\r\n"})
        raise InvalidInput(f"a header must be one line, and {names} is not; leave out what follows")
    try:
        return lines.encode("latin-1")  # as they came (RFC 9110, section 5.5)
    except UnicodeEncodeError:
        return lines.encode()


def read_fields(answer: Answer) -> dict[str, str]:
    """Return an answer's headers by lower-case name, repeated ones joined (RFC 9110, 5.2)."""
    found: dict[str, str] = {}
    for raw_name, raw in answer.fields:
        name, value = raw_name.decode("latin-1").lower(), raw.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def decode_json(body: bytes) -> Any:
    """Return decoded JSON, whatever its content type; NaN is read too, which Python writes.

    json.JSONDecodeError for what is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


def _tell(told: asyncio.Future[Answer | CallFailed], result: Answer | CallFailed) -> None:
    if not told.done():
        told.set_result(result)
