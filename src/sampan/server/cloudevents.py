"""CloudEvents at a server: KServe's environment, new ids, the clock."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime

from sampan.protocol import cloudevents
from sampan.protocol.cloudevents import Event, EventSettings
from sampan.wire.message import Response


def read_settings() -> EventSettings:
    """Return what CE_TYPE, CE_SOURCE and CE_MERGE say (KServe's names and defaults)."""
    return EventSettings(
        type=os.environ.get("CE_TYPE", EventSettings().type),
        source=os.environ.get("CE_SOURCE", ""),
        merge=os.environ.get("CE_MERGE", "false").lower() == "true",
    )


def wrap(event: Event, response: Response, model_name: str) -> Response:
    """Return the answer as the kind of event that the request was."""
    attributes = cloudevents.make_attributes(
        event, model_name, read_settings(), str(uuid.uuid4()), datetime.now(UTC).isoformat()
    )
    body, content_type, headers = cloudevents.encode(event, attributes, response.body)
    extra = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
    return Response(response.status, body, content_type, (*response.headers, *extra))
