"""What asking a predictor raises: httpx's errors, as model files written for KServe catch them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.client.failure import error_text
from sampan.protocol import media
from sampan.wire.upstream_answer import Answer, CallFailed

if TYPE_CHECKING:
    import httpx

_NAMES = {
    "Timeout": "ReadTimeout",
    "ConnectTimeout": "ConnectTimeout",
    "ConnectionRefused": "ConnectError",
    "AddressRefused": "ConnectError",
}
"""httpx's name of each reason; any other is a peer that does not keep to HTTP."""

_FRAMING = frozenset({b"transfer-encoding", b"content-encoding", b"content-length"})


def make_failure(failed: CallFailed) -> httpx.TransportError:
    """Return the error of a call that has no answer."""
    import httpx

    kind: type[httpx.TransportError] = getattr(
        httpx, _NAMES.get(failed.reason, "RemoteProtocolError")
    )
    return kind(failed.message)


def make_refusal(answer: Answer, url: str) -> httpx.HTTPStatusError:
    """Return the error of an answer that is no success, with the predictor's words."""
    import httpx

    json_body = media.is_json(media.media_type(answer.content_type))
    text = error_text(answer.body) if json_body else ""
    request = httpx.Request("POST", url)
    # The body is whole and plain: what the head says of its coding and length is no longer so.
    fields = [(n, v) for n, v in answer.fields if n.lower() not in _FRAMING]
    response = httpx.Response(answer.status, headers=fields, content=answer.body, request=request)
    told = f"{text}, '{answer.status} {response.reason_phrase}' for url '{url}'"
    return httpx.HTTPStatusError(told, request=request, response=response)
