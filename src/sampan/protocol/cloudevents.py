"""CloudEvents around V1 payloads, as KServe reads and writes them (CloudEvents 1.0, HTTP binding).

Binary: the attributes are `ce-` headers, the data is the body. Structured: one JSON object holds
both. Ids and times are arguments, so that everything here is pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from sampan.protocol import media
from sampan.protocol.errors import InvalidInput

Attributes: TypeAlias = "dict[str, str]"

STRUCTURED = b"application/cloudevents+json"
_REQUIRED = ("ce-specversion", "ce-type", "ce-source", "ce-id")
_MEMBERS = frozenset({"time", "type", "source", "id", "specversion", "data"})
_VERSIONS = ("0.3", "1.0")
_DEFAULT_TYPE = "io.kserve.inference.response"


@dataclass(frozen=True, slots=True)
class EventSettings:
    """KServe's environment: CE_TYPE, CE_SOURCE and CE_MERGE."""

    type: str = _DEFAULT_TYPE
    source: str = ""
    merge: bool = False


@dataclass(slots=True)
class Event:
    """The event that a request was: its attributes, and whether they stood in headers."""

    attributes: Attributes
    binary: bool


def is_binary(headers: dict[str, str]) -> bool:
    """Whether a request is a binary event: all required attributes are there as headers."""
    return "ce-id" in headers and all(name in headers for name in _REQUIRED)


def decode_binary(headers: dict[str, str], body: bytes) -> tuple[Event, Any]:
    """Return the event and its data: JSON where it is JSON, else the body's bytes."""
    version = headers["ce-specversion"]
    if version not in _VERSIONS:
        raise InvalidInput(
            f'Cloud Event Exceptions: specversion "{version}" is not known; '
            f"send {' or '.join(_VERSIONS)}"
        )
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    content_type = headers.get("content-type")
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    event = Event(attributes, binary=True)
    try:
        return event, orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if media.is_json(media.media_type((content_type or "").encode("latin-1"))):
            raise InvalidInput(
                f"Failed to decode or parse binary json cloudevent: {error}"
            ) from None
        return event, body


def unwrap_structured(payload: Any, content_type: bytes | None) -> tuple[Event | None, Any]:
    """Return the data of a structured event; any other payload as it is.

    The event is returned only where the request says that it is one by its content type: the
    answer is then an event too (KServe's rule).
    """
    if not isinstance(payload, dict) or not payload.keys() >= _MEMBERS:
        return None, payload
    attributes = {name: str(value) for name, value in payload.items() if name != "data"}
    is_event = media.media_type(content_type) == STRUCTURED
    return (Event(attributes, binary=False) if is_event else None), payload["data"]


def make_attributes(
    event: Event, model_name: str, settings: EventSettings, event_id: str, time: str
) -> Attributes:
    """Return the attributes of the answer to an event."""
    attributes: Attributes = {}
    if settings.merge:
        attributes.update(event.attributes)
        if event.binary:
            attributes.pop("datacontenttype", None)
    attributes["specversion"] = event.attributes.get("specversion", "1.0")
    attributes["id"] = event_id
    attributes["source"] = settings.source or f"io.kserve.inference.{model_name}"
    attributes["type"] = settings.type
    attributes["time"] = time
    return attributes


def encode(event: Event, attributes: Attributes, body: bytes) -> tuple[bytes, bytes, Attributes]:
    """Return body, content type and `ce-` headers of an answer whose data is JSON.

    Rendered with blanks, as the standard library does and so KServe: some compare the text.
    """
    data = orjson.loads(body)
    if event.binary:
        headers = {f"ce-{name}": value for name, value in attributes.items()}
        return json.dumps(data).encode(), media.JSON, headers
    return json.dumps({**attributes, "data": data}).encode(), STRUCTURED, {}
