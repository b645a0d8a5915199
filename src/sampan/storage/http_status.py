"""What an HTTP status means for a fetch. Pure. Words after KServe's storage initializer."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.storage.base import StorageError

_UNAVAILABLE = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
"""Statuses that trying again can help (416: the partial file was dropped)."""

_MOST_PATIENCE_SECONDS = 60.0


class SourceUnavailable(StorageError):
    """The source says "not now"; `retry_after` is the seconds it asks for, 0 for its silence."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__("SourceUnavailable", message, retryable=True)
        self.retry_after = retry_after


def make_status_error(shown: str, status: int, headers: Mapping[str, str]) -> StorageError:
    """Return the error for an answer that is no body."""
    if status == 401:
        return StorageError(
            "AuthenticationFailed",
            f'HTTP authentication failed for "{shown}" (status 401); verify credentials',
        )
    if status == 403:
        return StorageError(
            "AccessDenied",
            f'HTTP access denied for "{shown}" (status 403); verify permissions, '
            "or make a new link if it was a signed one that has expired",
        )
    if status in {404, 410}:
        return StorageError(
            "ModelNotFound",
            f'HTTP resource not found at "{shown}" (status {status}); check the path',
        )
    text = f'HTTP request to "{shown}" ended with status code {status}; '
    if status in _UNAVAILABLE:
        text += "try again later, or look at the server"
        return SourceUnavailable(text, _retry_after(headers))
    return StorageError("UnexpectedStatus", f"{text}check that the URI serves a file")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of `Retry-After`. Its date form is left: clocks differ."""
    text = headers.get("retry-after", "")
    return min(float(text), _MOST_PATIENCE_SECONDS) if text.isdecimal() else 0.0
