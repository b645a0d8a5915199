"""What KServe's data plane does that nobody would ask for: each has a row that says what we do."""

from __future__ import annotations

from pathlib import Path

import pytest

DIFFERENCES = Path(__file__).parents[2] / "docs" / "reference" / "differences.md"
DECIDED = {
    "V1 takes most content types for opaque bytes": "V1 with a content type that is no JSON by",
    "broken JSON is 400 in V1, 422 in V2": "a broken JSON body is 400 `error` in V1 and 422",
    "a shape that does not fit is 500": "| a wrong shape or wrong values |",
    "the repository index is missing": "| `POST /v2/repository/index` |",
    "versions are 501": "versions are 501",
    "gRPC answers UNKNOWN": "| a model that is not ready, a step that is not built | UNKNOWN",
    "gRPC load and unload fail": "| RepositoryModelLoad and RepositoryModelUnload |",
    "gRPC ignores requested outputs": "| requested outputs | ignored, all are sent |",
    "gRPC ignores the version": "| `model_version` |",
    "explain echoes headers": "| `:explain` of a model that cannot |",
    "binary answers have no type": "| V2 binary answers |",
    "a transformer makes 500 of every failure": "a predictor that fails, asked by a transformer",
    "a batch that fails is 200": "| a model that fails | 200 with the error in `message` |",
    "models that are not ready are dropped": "| a model that is not ready | left out of the server",
    "the client's retries do nothing": "| `RESTConfig(retries=...)` |",
    "predict blocks the server": "| `predict` that is not async | blocks the server |",
    "metrics are of one process": "| `/metrics` | of the process that happens to answer |",
}


@pytest.mark.parametrize("words", DECIDED.values(), ids=list(DECIDED))
def test_it_is_decided(words: str) -> None:
    assert words in DIFFERENCES.read_text("utf-8")
