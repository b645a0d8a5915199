"""TorchServe's gRPC messages as tables. Names and numbers are the interface (`inference.proto` and
`management.proto` of TorchServe 0.12)."""

from __future__ import annotations

from sampan.protocol.grpc.schema import BOOL, BYTES, INT32, MESSAGE, STRING, Field

_ENTRY = "PredictionsRequest.InputEntry"

TABLES: dict[str, tuple[Field, ...]] = {
    "PredictionsRequest": (
        Field("model_name", 1, STRING),
        Field("model_version", 2, STRING),
        Field("input", 3, MESSAGE, _ENTRY, repeated=True),
        Field("sequence_id", 4, STRING),
    ),
    _ENTRY: (Field("key", 1, STRING), Field("value", 2, BYTES)),
    "PredictionResponse": (Field("prediction", 1, BYTES), Field("sequence_id", 2, STRING)),
    "TorchServeHealthResponse": (Field("health", 1, STRING),),
    "ManagementResponse": (Field("msg", 1, STRING),),
    "DescribeModelRequest": (
        Field("model_name", 1, STRING),
        Field("model_version", 2, STRING),
        Field("customized", 3, BOOL),
    ),
    "ListModelsRequest": (Field("limit", 1, INT32), Field("next_page_token", 2, INT32)),
    "RegisterModelRequest": (
        Field("batch_size", 1, INT32),
        Field("handler", 2, STRING),
        Field("initial_workers", 3, INT32),
        Field("max_batch_delay", 4, INT32),
        Field("model_name", 5, STRING),
        Field("url", 9, STRING),
    ),
    "ScaleWorkerRequest": (
        Field("model_name", 1, STRING),
        Field("model_version", 2, STRING),
        Field("max_worker", 3, INT32),
        Field("min_worker", 4, INT32),
        Field("number_gpu", 5, INT32),
        Field("synchronous", 6, BOOL),
        Field("timeout", 7, INT32),
    ),
    "SetDefaultRequest": (Field("model_name", 1, STRING), Field("model_version", 2, STRING)),
    "UnregisterModelRequest": (Field("model_name", 1, STRING), Field("model_version", 2, STRING)),
}
"""A map is a list of entries of `key` and `value`."""
