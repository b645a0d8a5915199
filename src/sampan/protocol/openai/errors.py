"""Errors in OpenAI's form (KServe's `protocol/rest/openai/errors`): the code is a string."""

from __future__ import annotations

import orjson

from sampan.protocol.errors import ServingError


class OpenAIError(ServingError):
    """A request that a model took and could not answer."""

    status = 500
    kind = "OpenAIError"

    def body(self) -> bytes:
        """Return `{"error": {...}}` as OpenAI's clients read it."""
        told = {"code": str(self.status), "message": str(self), "param": "", "type": self.kind}
        return orjson.dumps({"error": told})


class BadRequest(OpenAIError):
    """A request that no model could answer, or not this one."""

    status = 400
    kind = "BadRequestError"
