"""A model of a store: the versions behind one name, and which of them is asked by default.

V1 and V2 go through TorchServe's envelopes, which take one request at a time; what comes by
`/predictions` is the handler's own form, and is batched.
"""

from __future__ import annotations

from typing import Any

import orjson

from sampan.protocol.errors import InvalidInput, ModelNotFound
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.torchserve.answers import Answer, HandlerStatus
from sampan.runtimes.torchserve.handler import Handler
from sampan.runtimes.torchserve.turns import Asked, Parts
from sampan.server.model import Headers, Model


class RawRequest(dict[str, Any]):
    """A request in TorchServe's own form: what a handler gets, without an envelope."""

    version = ""
    """The version that is asked for; empty: the default one."""


class ArchiveModel(Model):
    """The versions of one name. The first is the default until another is made it."""

    platform = "pytorch_torchserve"

    def __init__(self, first: Handler, *, trust: bool) -> None:
        super().__init__(first.name, return_response_headers=True)
        self.versions = {first.manifest.version: first}
        self.default = first.manifest.version
        self._trust = trust

    def load(self) -> bool:
        """Load every version; LoadFailure tells what is wrong."""
        for handler in self.versions.values():
            if not handler.ready:
                handler.load(trust=self._trust)
        self.ready = True
        return self.ready

    def add(self, handler: Handler) -> None:
        """Serve another version."""
        self.versions[handler.manifest.version] = handler

    def drop(self, version: str) -> None:
        """Stop and forget a version."""
        self.versions.pop(version).stop()

    def select(self, version: str = "") -> Handler:
        """Return a version, the default where none is asked for; ModelNotFound."""
        found = self.versions.get(version or self.default)
        if found is None:
            raise ModelNotFound(f"{self.name} with version {version}")
        return found

    def stop(self) -> None:
        """Let every version go."""
        super().stop()
        for handler in self.versions.values():
            handler.stop()

    def validate(self, payload: Any) -> Any:
        """Check V1 and V2; TorchServe's own form is the handler's to check."""
        return payload if isinstance(payload, RawRequest) else super().validate(payload)

    async def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload; of a RawRequest the Answer, or its Parts."""
        headers = headers or {}
        if isinstance(payload, RawRequest):
            return await self.select(payload.version).turns.ask(Asked(dict(payload), headers))
        if isinstance(payload, InferRequest):
            handler = self.select(payload.model_version or "")
            asked = Asked({"body": payload.to_dict()}, headers, "v2")
            answer = await self._ask(handler, asked, response_headers)
            return {**answer, "model_name": self.name, "id": payload.id or ""}
        if not isinstance(payload, dict) or not payload.get("instances"):
            raise InvalidInput('Expected a JSON object with "instances", and an instance in it')
        return await self._ask(
            self.select(), Asked({"body": payload}, headers, "v1"), response_headers
        )

    async def explain(self, payload: Any, headers: Headers | None = None) -> Any:
        """Answer a V1 payload with the handler's explanation."""
        asked = Asked({"body": payload}, {**(headers or {}), "explain": "True"}, "v1")
        return await self._ask(self.select(), asked, None)

    async def _ask(self, handler: Handler, asked: Asked, response_headers: Headers | None) -> Any:
        """Return what an envelope answers; HandlerStatus where the handler set a status."""
        answer = await handler.turns.ask(asked)
        if isinstance(answer, Parts):
            raise InvalidInput(
                f'model "{self.name}" answers in several parts; ask it at '
                f"/predictions/{self.name}, or by StreamPredictions"
            )
        if response_headers is not None:
            response_headers.update(answer.headers)
        if answer.status != 200:
            raise HandlerStatus(answer.status, _text(answer), _json(answer))
        return answer.value


def _text(answer: Answer) -> str:
    return answer.body().decode("utf-8", "replace")


def _json(answer: Answer) -> bytes:
    """Return the body as JSON, which V1 and V2 answer in."""
    value = answer.value
    return orjson.dumps(value) if isinstance(value, str) else answer.body()
