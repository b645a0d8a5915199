"""What a client of a graph is answered: KServe's bodies, with who failed beside the cause.

KServe, router: `{"error":"Failed to process request","cause":...}` with 404 or 500. What a step
answered flows through with its status.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from sampan.router.body import text_of
from sampan.router.steps import JSON, Outcome, RouterError

ERROR = "Failed to process request"

_CREDENTIALS = re.compile(r"(?<=://)[^/?#@]*@")


def error_body(error: RouterError) -> bytes:
    """Return the body of a router's error; node, step, url and status where they are known."""
    told: dict[str, Any] = {"error": ERROR, "cause": error.cause}
    if error.node:
        told["node"] = error.node
    if error.step is not None:
        told["step"] = error.step.key
        if error.step.url:
            told["url"] = without_credentials(error.step.url)
    if error.answered:
        told["status"] = error.answered
    return orjson.dumps(told)


def select_content_type(outcome: Outcome) -> bytes:
    """Return the content type of an answer: JSON where the body is, else what the step said.

    A step that says JSON is believed: reading a large body anew would tell nothing else.
    """
    if outcome.content_type == JSON or outcome.chunks is not None or not outcome.body:
        return outcome.content_type
    if outcome.content_type.partition(b";")[0].strip().lower() == JSON:
        return outcome.content_type
    try:
        orjson.loads(text_of(outcome.body))
    except ValueError:
        return outcome.content_type
    return JSON


def without_credentials(url: str) -> str:
    """Return a URL that may be shown: without the user and password that it may hold."""
    return _CREDENTIALS.sub("", url)
