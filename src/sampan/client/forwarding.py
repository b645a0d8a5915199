"""Which headers of a request go on to the predictor that is asked because of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

FORWARDED = ("x-request-id", "x-b3-traceid", "traceparent", "tracestate", "authorization")
"""KServe's, and W3C Trace Context's two; names in lower case."""


def select_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers of a request that go on to the predictor."""
    return {name: headers[name] for name in FORWARDED if name in headers} if headers else {}
