"""What a graph answers, as tensors: of V2's form, or of what an Ensemble merges. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from sampan.protocol.errors import InferenceError
from sampan.protocol.grpc.status import RpcError, Status, from_http
from sampan.protocol.v2_client import make_response
from sampan.router.answers import error_body
from sampan.router.body import text_of
from sampan.router.steps import Outcome, RouterError
from sampan.router.walk import Result

_TEXTS = ("error", "detail", "cause")


def as_response(result: Result) -> Any:
    """Return a graph's answer as tensors; RpcError for one that is none."""
    if isinstance(result, RouterError):
        raise RpcError(from_http(result.status), _text(orjson.loads(error_body(result))))
    value = _loads(result)
    if not result.is_success:
        raise RpcError(from_http(result.status), _text(value) or f"HTTP {result.status}")
    if isinstance(value, dict) and "error" in value and "outputs" not in value:
        raise RpcError(Status.INTERNAL, _text(value))  # the last word of a stream
    try:
        return make_response(_merged(value))
    except InferenceError as error:
        text = f"{error}; over gRPC the steps of a graph answer in V2"
        raise RpcError(Status.INTERNAL, text) from None


def _loads(outcome: Outcome) -> Any:
    try:
        return orjson.loads(text_of(outcome.body))
    except ValueError:
        return None


def _merged(value: Any) -> Any:
    """Return the answers of an Ensemble as one, any other as it is."""
    if not isinstance(value, dict) or isinstance(value.get("outputs"), list) or not value:
        return value
    outputs = []
    for step, inner in value.items():
        told = _merged(inner)
        if not isinstance(told, dict) or not isinstance(told.get("outputs"), list):
            return value
        outputs += [{**one, "name": f"{step}.{one.get('name')}"} for one in told["outputs"]]
    return {"outputs": outputs}


def _text(told: Any) -> str:
    """Return what an error's body says: a router's cause, a model's words."""
    if not isinstance(told, dict):
        return ""
    found = [told[key] for key in reversed(_TEXTS) if told.get(key)]
    return found[0] if found and isinstance(found[0], str) else orjson.dumps(told).decode()
