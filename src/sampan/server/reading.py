"""What the head of a request says beyond its route. Pure.

Only what is the same for all requests of a head that its connection knows (`wire.known_head`), so
that it is read once for them: the names of headers, and values that do not vary.
"""

from __future__ import annotations

from typing import NamedTuple

from sampan.protocol import media
from sampan.wire.message import Request

REQUEST_ID = b"x-request-id"


class Reading(NamedTuple):
    """What the headers say of request and body."""

    identified: bool
    """Whether there is a request id, of whatever form."""
    json: bool
    """Whether V1 reads a body of this type as JSON."""
    event: bool
    """Whether this may be a CloudEvent in binary form: it has the id of one."""


def read(request: Request) -> Reading:
    """Return what a request's headers say; of a repeated content type the first counts."""
    identified = event = False
    content_type = None
    for name, value in request.headers:
        if name == b"content-type":
            content_type = value if content_type is None else content_type
        elif name == REQUEST_ID:
            identified = True
        elif name == b"ce-id":
            event = True
    return Reading(identified, media.is_v1_json(media.media_type(content_type)), event)
