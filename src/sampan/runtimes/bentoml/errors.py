"""What went wrong in a service, in BentoML's form (`_bentoml_impl`, "api_endpoint_wrapper")."""

from __future__ import annotations

import json
import logging
from typing import Any

from sampan.protocol.errors import ServingError

logger = logging.getLogger("sampan.runtimes.bentoml")

_UNEXPECTED = {"error": "An unexpected error has occurred, please check the server log."}


class ServiceFailed(ServingError):
    """An error with the status and the JSON that BentoML answers with."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(str(detail))
        self.status = status
        self._detail = detail

    def body(self) -> bytes:
        """Return the detail as BentoML writes it."""
        return dump(self._detail)


class TookTooLong(ServiceFailed):
    """No answer within `traffic.timeout` of the service."""

    def __init__(self, seconds: float) -> None:
        text = f"Not able to process the request in {seconds:g} seconds"
        super().__init__(504, {"error": text})


def dump(value: Any) -> bytes:
    """Return JSON as Starlette writes it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def blame(error: Exception) -> ServiceFailed:
    """Return what a client is told of an error that was raised while an API was answered."""
    from bentoml.exceptions import BentoMLException  # type: ignore[import-not-found]  # not ours
    from pydantic import ValidationError

    if isinstance(error, ServiceFailed):
        return error
    if isinstance(error, ValidationError):
        return ServiceFailed(400, make_detail(error))
    if isinstance(error, BentoMLException):
        return _blame_declared(error)
    logger.error("an API of the service raised", exc_info=error)
    return ServiceFailed(500, _UNEXPECTED)


def make_detail(error: Any) -> dict[str, Any]:
    """Return what pydantic found wrong, in BentoML's form."""
    return {
        "error": f"{error.error_count()} validation error for {error.title}",
        "detail": error.errors(include_context=False, include_input=False),
    }


def _blame_declared(error: Any) -> ServiceFailed:
    """Return the answer to an exception of BentoML's own kinds, by its status."""
    status = int(error.error_code.value)
    if status in {401, 403}:
        return ServiceFailed(status, {"error": "Authorization error"})
    if status >= 500:
        logger.error("an API of the service raised", exc_info=error)
        return ServiceFailed(status, _UNEXPECTED)
    return ServiceFailed(status, [{"error": str(error)}])  # a list, as its clients see it there
