"""Media types of request bodies (RFC 9110, section 8.3)."""

from __future__ import annotations

JSON = b"application/json"
BYTES = b"application/octet-stream"
_JSON_LIKE = frozenset({b"application/json", b"text/json"})
_UNSAID = frozenset({b"", b"application/x-www-form-urlencoded"})  # the last: what curl -d sends


def media_type(content_type: bytes | None) -> bytes:
    """Return the type without parameters, in lower case; empty where the header is absent."""
    if content_type == JSON:  # as nearly all say it
        return JSON
    return (content_type or b"").partition(b";")[0].strip().lower()


def is_json(media: bytes) -> bool:
    """Whether this is JSON by its name (V2's rule)."""
    return media in _JSON_LIKE or (media.startswith(b"application/") and media.endswith(b"+json"))


def is_v1_json(media: bytes) -> bool:
    """Whether V1 reads a body of this type as JSON: JSON, or what says nothing of the contents."""
    return media == BYTES or is_unsaid(media) or is_json(media)


def is_unsaid(media: bytes) -> bool:
    """Whether a client that thinks of no type sends this one, whatever its body holds."""
    return media in _UNSAID
