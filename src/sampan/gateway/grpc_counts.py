"""How gRPC calls ended, as Envoy counts it: their HTTP status is 200 whatever became of them.

Counted of revisions with a number in their names alone, by status for the methods that models are
asked with; of any other method Envoy tells only whether it failed.
"""

from __future__ import annotations

import re

from sampan.machinery.registry import JsonObject

METHODS = {
    "inference.GRPCInferenceService": ("ModelInfer", "ModelStreamInfer"),
    "tensorflow.serving.PredictionService": (
        "Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata",
    ),
    "org.pytorch.serve.grpc.inference.InferenceAPIsService": (
        "Predictions", "StreamPredictions", "StreamPredictions2",
    ),
}  # fmt: skip
"""The services of V2, TensorFlow Serving and TorchServe. A list, for a statistic stays for ever and
a client may invent names."""

SERVER_ERRORS = frozenset({"2", "4", "12", "13", "14", "15"})
"""Statuses that are the server's fault, those that Google's API maps to HTTP 5xx: UNKNOWN,
DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""

GRPC_STATS = r"cluster\..*-\d{5}(/grpc)?\.grpc\.(.*\.)?(failure|\d+)"
_FILTER = "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"
_FAILURES = re.compile(r"(?P<cluster>.*-\d{5}(/grpc)?)\.grpc\.((?P<method>.*)\.)?(?P<how>\w+)")


def make_grpc_counts() -> JsonObject:
    """Return the filter that counts."""
    services = [{"name": name, "method_names": list(names)} for name, names in METHODS.items()]
    allowed = {"services": services}
    return {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": {"@type": _FILTER, "individual_method_stats_allowlist": allowed},
    }


def read_grpc_errors(name: str, value: int) -> tuple[str, int] | None:
    """Return cluster and errors of a statistic, named without its `cluster.`; None: no such."""
    found = _FAILURES.fullmatch(name)
    if found is None:
        return None
    counts = found["how"] in SERVER_ERRORS if found["method"] else found["how"] == "failure"
    return found["cluster"], value if counts else 0
