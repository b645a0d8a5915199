"""What a Prometheus answers to a query, as one number.

Prometheus, HTTP API, instant queries; KEDA, prometheus scaler: no series, and what is not finite,
counts as 0, and several series are an error.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode

from sampan.autoscaler.errors import MetricError

PATH = "/api/v1/query"
_LONGEST_ERROR = 200


def make_path(prefix: str, query: str, tenant: str) -> str:
    """Return the path of a query below the server's own; `tenant` "" is told nobody."""
    given = {"query": query} | ({"namespace": tenant} if tenant else {})
    return f"{prefix.rstrip('/')}{PATH}?{urlencode(given)}"


def read_answer(answer: Any) -> float:
    """Return the number in the JSON of an answer; raise MetricError."""
    if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
        raise MetricError("the answer is not Prometheus's; check that serverAddress is one")
    if answer["status"] == "error":
        text = str(answer.get("error") or "no reason given")[:_LONGEST_ERROR]
        raise MetricError(f"it refuses the query: {text}")
    data = answer.get("data") or {}
    kind, result = data.get("resultType"), data.get("result") or []
    if kind == "scalar":
        return _number(result)
    if kind != "vector":
        raise MetricError(
            f'the query tells a "{kind}" and one number is needed; ask for an instant'
        )
    if len(result) > 1:
        text = f"the query tells {len(result)} numbers and one is needed; wrap it in sum(...)"
        raise MetricError(text)
    return _number(result[0].get("value")) if result else 0.0


def _number(pair: Any) -> float:
    try:
        value = float(pair[1])
    except (TypeError, ValueError, IndexError) as error:
        raise MetricError(f"the answer holds no number but {pair!r:.60}") from error
    return value if math.isfinite(value) else 0.0
