"""The answer of a V1 model as the request of the next: `predictions` become `instances`.

KServe, `mapPredictionsToInstances`: all else of the answer is left out, and a body that has no
predictions stays as it is.
"""

from __future__ import annotations

import orjson


def map_predictions(body: bytes) -> bytes:
    """Return a body with its predictions as instances."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return body
    predictions = value.get("predictions") if isinstance(value, dict) else None
    return orjson.dumps({"instances": predictions}) if predictions else body
