"""TensorFlow Serving's small messages as tables. Names and numbers are the interface
(`tensorflow_serving/apis` and `config`).

In the form of Triton's tables (`triton.schema`), from which both a reader of text files and one of
gRPC messages are had. What is large or often asked has a codec of its own (`messages`).
"""

from __future__ import annotations

from sampan.protocol.grpc.schema import MESSAGE, Field
from sampan.runtimes.triton.schema import make_tables

_POLICY = "ServableVersionPolicy"
_TEXTS = {
    "ModelServerConfig": "model_config_list:1:ModelConfigList custom_model_config:2:Any",
    "Any": "type_url:1:string value:2:bytes",
    "ModelConfigList": "config:1:ModelConfig*",
    "ModelConfig": "name:1:string base_path:2:string model_type:3:int32 model_platform:4:string "
    f"model_version_policy:7:{_POLICY} version_labels:8:{{int64}} logging_config:6:LoggingConfig",
    "LoggingConfig": "",
    _POLICY: "latest:100:Latest all:101:All specific:102:Specific",
    "Latest": "num_versions:1:uint32",
    "All": "",
    "Specific": "versions:1:int64*",
    "BatchingParameters": "max_batch_size:1:Int64Value batch_timeout_micros:2:Int64Value "
    "max_enqueued_batches:3:Int64Value num_batch_threads:4:Int64Value "
    "thread_pool_name:5:StringValue allowed_batch_sizes:6:int64* pad_variable_length_inputs:7:bool",
    "MonitoringConfig": "prometheus_config:1:PrometheusConfig",
    "PrometheusConfig": "enable:1:bool path:2:string",
    "Int64Value": "value:1:int64",
    "StringValue": "value:1:string",
    "ReloadConfigRequest": "config:1:ModelServerConfig metric_names:2:string*",
    "ReloadConfigResponse": "status:1:StatusProto",
    "StatusProto": "error_code:1:int32 error_message:2:string",
    "ModelSpec": "name:1:string version:2:Int64Value version_label:4:string "
    "signature_name:3:string",
    "GetModelMetadataRequest": "model_spec:1:ModelSpec metadata_field:2:string*",
    "GetModelStatusRequest": "model_spec:1:ModelSpec",
    "GetModelStatusResponse": "model_version_status:1:ModelVersionStatus*",
    "ModelVersionStatus": "version:1:int64 state:2:int32 status:3:StatusProto",
    "InferenceTask": "model_spec:1:ModelSpec method_name:2:string",
}

TEXT_TABLES = make_tables(_TEXTS)
"""For text files (`triton.pbtxt`). A map is one."""


def _entry(message: str, field: str) -> str:
    return f"{message}.{field}"


def _wire_tables() -> dict[str, tuple[Field, ...]]:
    tables: dict[str, tuple[Field, ...]] = {}
    for name, fields in TEXT_TABLES.items():
        made = []
        for field in fields.values():
            kind, of = field.kind, ""
            if field.mapped:  # on the wire a map is a list of entries
                kind, of = MESSAGE, _entry(name, field.name)
                tables[of] = (Field("key", 1, "string"), Field("value", 2, field.kind))
            elif field.kind in TEXT_TABLES:
                kind, of = MESSAGE, field.kind
            made.append(Field(field.name, field.number, kind, of, field.repeated or field.mapped))
        tables[name] = tuple(made)
    return tables


WIRE_TABLES = _wire_tables()
"""For gRPC (`protocol.grpc.messages`). A map is a list of entries of `key` and `value`."""
