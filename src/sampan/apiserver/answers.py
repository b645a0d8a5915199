"""Objects and lists in the form that the caller accepts. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from sampan.apiserver.call import Call
from sampan.apiserver.messages import Reply, make_reply
from sampan.apiserver.negotiate import META_GROUP, Accepted, Form, negotiate
from sampan.apiserver.table import INCLUDE_OBJECT, build_table, make_partial
from sampan.machinery.errors import BadRequest
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Page

OBJECT_FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.METADATA})
YAML = "application/yaml"


def render_object(
    call: Call, obj: JsonObject, now: float, code: int = 200, warnings: tuple[str, ...] = ()
) -> Reply:
    """Return the reply that shows one object."""
    accepted = negotiate(call.request.header("accept"), OBJECT_FORMS)
    return _reply(_shown(call, accepted, now)(obj), accepted, code, warnings)


def render_list(call: Call, page: Page, now: float) -> Reply:
    """Return the reply that shows a list, with its version and where it goes on."""
    accepted = negotiate(call.request.header("accept"), OBJECT_FORMS)
    meta: JsonObject = {"resourceVersion": page.resource_version}
    if page.continue_token:
        meta["continue"] = page.continue_token
    if page.remaining:
        meta["remainingItemCount"] = page.remaining
    return _reply({**_list_body(call, page, accepted, now), "metadata": meta}, accepted, 200, ())


def make_shower(call: Call, now: Callable[[], float]) -> Callable[[JsonObject], JsonObject] | None:
    """Return what shows each object of a watch, None where it is shown as it is stored.

    The first Table carries the column definitions.
    """
    accepted = negotiate(call.request.header("accept"), OBJECT_FORMS)
    if accepted.form is Form.OBJECT:
        return None
    if accepted.form is not Form.TABLE:
        return _shown(call, accepted, 0.0)
    told = False

    def show(obj: JsonObject) -> JsonObject:
        nonlocal told
        table = _shown(call, accepted, now())(obj)
        if told:
            table["columnDefinitions"] = None
        told = True
        return table

    return show


def _list_body(call: Call, page: Page, accepted: Accepted, now: float) -> JsonObject:
    if accepted.form is Form.TABLE:
        return build_table(call.resource, page.items, now, _included(call))
    if accepted.form is Form.METADATA:
        items = [make_partial(obj) for obj in page.items]
        api_version = f"{META_GROUP}/v1"
        return {"kind": "PartialObjectMetadataList", "apiVersion": api_version, "items": items}
    kind, api_version = f"{call.resource.kind}List", call.resource.api_version
    return {"kind": kind, "apiVersion": api_version, "items": page.items}


def _shown(call: Call, accepted: Accepted, now: float) -> Callable[[JsonObject], JsonObject]:
    if accepted.form is Form.TABLE:
        include = _included(call)

        def show(obj: JsonObject) -> JsonObject:
            table = build_table(call.resource, [obj], now, include)
            table["metadata"] = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return table

        return show
    return make_partial if accepted.form is Form.METADATA else (lambda obj: obj)


def _included(call: Call) -> str:
    include = call.request.query.get("includeObject") or "Metadata"
    if include not in INCLUDE_OBJECT:
        raise BadRequest(
            f'includeObject: Unsupported value: "{include}": supported values: '
            + ", ".join(f'"{i}"' for i in INCLUDE_OBJECT)
        )
    return include


def _reply(body: Any, accepted: Accepted, code: int, warnings: tuple[str, ...]) -> Reply:
    reply = make_reply(body, code, warnings=warnings)
    if not accepted.yaml:
        return reply
    import yaml

    text = yaml.safe_dump(orjson.loads(reply.body), sort_keys=False, allow_unicode=True)
    return Reply(code, text.encode(), YAML, reply.headers)
