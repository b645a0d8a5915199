"""Errors of the data plane: whose fault, which HTTP status, which body.

Names, statuses and texts are KServe's, so that clients which match on them go on working. A
transport that is not HTTP maps the class, not the status.
"""

from __future__ import annotations

from typing import Any

import orjson


class ServingError(Exception):
    """Base of the errors that a client sees. Never raised itself."""

    status = 500
    retry_after = 0
    """Seconds after which the same request may be answered; 0: nothing is known of that."""

    def body(self) -> bytes:
        """Return the JSON body: `{"error": text}`."""
        return error_body(str(self))


class InvalidInput(ServingError):
    """The request is wrong."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InferenceError(ServingError):
    """The model broke on a request that looked right."""

    def __init__(self, reason: str, status: str | None = None) -> None:
        super().__init__(f"[{status}] {reason}" if status else reason)
        self.reason = reason


class ModelNotFound(ServingError):
    """No model of this name is registered."""

    status = 404

    def __init__(self, model_name: str | None = None) -> None:
        super().__init__(f"Model with name {model_name} does not exist.")


class ModelNotReady(ServingError):
    """Registered, not loaded (yet)."""

    status = 503

    def __init__(self, model_name: str | None = None, detail: str | None = None) -> None:
        text = f"Model with name {model_name} is not ready."
        super().__init__(f"{text} {detail}" if detail else text)


class UnsupportedProtocol(ServingError):
    """A protocol that the model does not speak."""

    status = 501

    def __init__(self, protocol_version: str | None = None) -> None:
        super().__init__(f"Unsupported protocol {protocol_version}.")


class Overloaded(ServingError):
    """More requests than may wait; trying again after `retry_after` seconds may help."""

    status = 503

    def __init__(self, limit: int, waiting: int, retry_after: int = 1) -> None:
        super().__init__(
            f"{limit} requests are being answered and {waiting} wait, which is all that may; "
            f"try again in {retry_after} s, or raise --container_concurrency or --max_queue"
        )
        self.retry_after = retry_after


class RequestTimeout(ServingError):
    """The answer took longer than the server was told to wait."""

    status = 504

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s; send less at once or raise the timeout")


class ClientLeft(ServingError):
    """Nobody waits for the answer any more (nginx's 499); for logs, it reaches no client."""

    status = 499

    def __init__(self) -> None:
        super().__init__("the client left before its request was begun")


class ServerNotReady(ServingError):
    """Loading, or draining."""

    status = 503

    def __init__(self) -> None:
        super().__init__("Server is not ready.")


class UnsupportedEncoding(ServingError):
    """A body that is compressed: it is not unpacked here."""

    status = 415

    def __init__(self, encoding: str) -> None:
        super().__init__(f'content-encoding "{encoding}" is not served; send the body as it is')


class InvalidRequestBody(ServingError):
    """A V2 body that does not fit the schema: the list of `detail` that FastAPI sends (422)."""

    status = 422

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(entry.get("msg")) for entry in detail))
        self.detail = detail

    def body(self) -> bytes:
        """Return `{"detail": [...]}`; what JSON cannot repeat of the input is left out."""
        try:
            return orjson.dumps({"detail": self.detail}, option=orjson.OPT_NON_STR_KEYS)
        except orjson.JSONEncodeError:  # a lone surrogate, a number above 64 bits, a deep nest
            bare = [{**entry, "input": None} for entry in self.detail]
            return orjson.dumps({"detail": bare}, option=orjson.OPT_NON_STR_KEYS)


def error_body(text: str) -> bytes:
    """Return KServe's error body. Text that is not valid Unicode is sent escaped."""
    try:
        return orjson.dumps({"error": text})
    except orjson.JSONEncodeError:
        return orjson.dumps({"error": text.encode("utf-8", "backslashreplace").decode()})


def status_of(error: BaseException) -> int:
    """Return the HTTP status of anything that was raised while answering."""
    if isinstance(error, ServingError):
        return error.status
    return 501 if isinstance(error, NotImplementedError) else 500


def describe(error: BaseException) -> tuple[int, bytes]:
    """Return status and body for anything that was raised while answering.

    `NotImplementedError` is 501; what nobody foresaw is 500 `{ClassName} : {text}`.
    """
    if isinstance(error, ServingError):
        return error.status, error.body()
    if isinstance(error, NotImplementedError):
        return 501, error_body(str(error))
    return 500, error_body(f"{type(error).__name__} : {error}")
