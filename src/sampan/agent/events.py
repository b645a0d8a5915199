"""A request or an answer as a CloudEvent of the log. Pure.

KServe, request logger: CloudEvents 1.0 in binary mode; the attributes are headers, the payload is
the body, under the request's content type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sampan.wire.message import HeaderList

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
_UNSAFE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Origin:
    """What every event of a pod says. `metadata_headers` are lower-case names."""

    source: str
    service: str = ""
    namespace: str = ""
    component: str = ""
    endpoint: str = ""
    metadata_headers: frozenset[str] = frozenset()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """What is logged. `time` is when it came, in epoch seconds."""

    id: str
    type: str
    time: float
    content_type: bytes
    body: bytes
    metadata: str


def render_headers(event: Event, origin: Origin, now: float) -> list[tuple[str, str]]:
    """Return the headers of an event that is sent now."""
    found = [
        ("ce-specversion", "1.0"),
        ("ce-id", event.id),
        ("ce-type", event.type),
        ("ce-source", origin.source),
        ("ce-time", render_time(event.time)),
        ("ce-recordedtime", render_time(now)),
        ("ce-inferenceservicename", origin.service),
        ("ce-namespace", origin.namespace),
        ("ce-component", origin.component),
        ("ce-endpoint", origin.endpoint),
        ("ce-metadata", event.metadata),
    ]
    if origin.annotations:
        found.append(("ce-annotations", json.dumps(dict(origin.annotations))))
    if event.content_type:
        found.append(("content-type", event.content_type.decode("latin-1")))
    return [(name, escape(value)) for name, value in found]


def render_metadata(headers: HeaderList, names: frozenset[str]) -> str:
    """Return the wanted headers of a request as JSON, under Go's canonical names."""
    found: dict[str, list[str]] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        if name in names:
            canonical = "-".join(part.capitalize() for part in name.split("-"))
            found.setdefault(canonical, []).append(value.decode("latin-1"))
    return json.dumps(found)


def render_time(epoch: float) -> str:
    """Return a time as RFC 3339 has it."""
    return datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")


def escape(value: str) -> str:
    """Return a value fit for a header (CloudEvents over HTTP, section 3.1.3.2)."""
    return _UNSAFE.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), value)
