"""An event of the log as a record of a file in a store. Pure.

KServe, logger, marshaller: a record has the names and the order below; `bytes` are in base64. A
table has a column for each but `occurrenceTime`, objects in it are JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.agent.events import Event, Origin, render_time

Record: TypeAlias = Mapping[str, Any]

_TIME = "occurrenceTime"
COLUMNS = (
    *("url", "bytes", "contentType", "reqType", "id", "sourceUri", "inferenceService"),
    *("namespace", "component", "endpoint", "metadata", "annotations", "certName"),
    "tlsSkipVerify",
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What every record of a pod's log says: where it is kept, and what the pod says of itself.

    `prefix` is what names of objects begin with: the path of the URL in a bucket.
    """

    url: str
    origin: Origin
    prefix: str = ""
    cert_name: str = ""
    skip_verify: bool = False


def make_record(event: Event, shelf: Shelf) -> Record:
    """Return the record of an event."""
    origin = shelf.origin
    return {
        "url": shelf.url,
        "bytes": base64.b64encode(event.body).decode(),
        "contentType": event.content_type.decode("latin-1"),
        "reqType": event.type,
        "id": event.id,
        "sourceUri": origin.source,
        "inferenceService": origin.service,
        "namespace": origin.namespace,
        "component": origin.component,
        "endpoint": origin.endpoint,
        "metadata": json.loads(event.metadata),
        "annotations": dict(origin.annotations),
        "certName": shelf.cert_name,
        "tlsSkipVerify": shelf.skip_verify,
        _TIME: render_time(event.time),
    }


def make_row(record: Record) -> list[str | bool]:
    """Return a record as a row of a table."""
    return [_cell(record[name]) for name in COLUMNS]


def _cell(value: Any) -> str | bool:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value
