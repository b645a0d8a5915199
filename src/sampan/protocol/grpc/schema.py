"""The services and messages that are spoken, as tables. Names and numbers are the interface.

`grpc_predict_v2.proto` is KServe's, with what Triton and MLServer have beyond it (RepositoryIndex,
ModelStreamInfer, two kinds of parameters); then gRPC's own health and reflection protocols.
"""

from __future__ import annotations

from typing import NamedTuple

STRING, BYTES, BOOL = "string", "bytes", "bool"
INT32, INT64, UINT32, UINT64 = "int32", "int64", "uint32", "uint64"
FLOAT, DOUBLE, ENUM, MESSAGE = "float", "double", "enum", "message"


class Field(NamedTuple):
    """A field. `of` names the message or enum; `choice` the oneof it belongs to.

    `mapped`: a map from strings to `of`.
    """

    name: str
    number: int
    kind: str
    of: str = ""
    repeated: bool = False
    choice: str = ""
    mapped: bool = False


class Method(NamedTuple):
    """A method. Types are full names without the leading dot."""

    name: str
    takes: str
    gives: str
    takes_stream: bool = False
    gives_stream: bool = False


class File(NamedTuple):
    """A .proto file. Messages by name within the package; nested ones as `Outer.Inner`."""

    name: str
    package: str
    messages: dict[str, tuple[Field, ...]]
    services: dict[str, tuple[Method, ...]]
    enums: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  # a NamedTuple's default, never changed


def _parameters(number: int) -> Field:
    return Field("parameters", number, MESSAGE, "inference.InferParameter", mapped=True)


def _tensor(outer: str) -> tuple[Field, ...]:
    del outer
    return (
        Field("name", 1, STRING),
        Field("datatype", 2, STRING),
        Field("shape", 3, INT64, repeated=True),
        _parameters(4),
        Field("contents", 5, MESSAGE, "inference.InferTensorContents"),
    )


_MODEL_AND_VERSION = (Field("name", 1, STRING), Field("version", 2, STRING))
_REQUEST, _RESPONSE = "inference.ModelInferRequest", "inference.ModelInferResponse"

INFERENCE = File(
    "grpc_predict_v2.proto",
    "inference",
    {
        "ServerLiveRequest": (),
        "ServerLiveResponse": (Field("live", 1, BOOL),),
        "ServerReadyRequest": (),
        "ServerReadyResponse": (Field("ready", 1, BOOL),),
        "ModelReadyRequest": _MODEL_AND_VERSION,
        "ModelReadyResponse": (Field("ready", 1, BOOL),),
        "ServerMetadataRequest": (),
        "ServerMetadataResponse": (
            *_MODEL_AND_VERSION,
            Field("extensions", 3, STRING, repeated=True),
        ),
        "ModelMetadataRequest": _MODEL_AND_VERSION,
        "ModelMetadataResponse": (
            Field("name", 1, STRING),
            Field("versions", 2, STRING, repeated=True),
            Field("platform", 3, STRING),
            *(
                Field(name, number, MESSAGE, "inference.ModelMetadataResponse.TensorMetadata", True)
                for number, name in ((4, "inputs"), (5, "outputs"))
            ),
        ),
        "ModelMetadataResponse.TensorMetadata": (
            Field("name", 1, STRING),
            Field("datatype", 2, STRING),
            Field("shape", 3, INT64, repeated=True),
        ),
        "InferParameter": (
            Field("bool_param", 1, BOOL, choice="parameter_choice"),
            Field("int64_param", 2, INT64, choice="parameter_choice"),
            Field("string_param", 3, STRING, choice="parameter_choice"),
            Field("double_param", 4, DOUBLE, choice="parameter_choice"),
            Field("uint64_param", 5, UINT64, choice="parameter_choice"),
        ),
        "InferTensorContents": (
            Field("bool_contents", 1, BOOL, repeated=True),
            Field("int_contents", 2, INT32, repeated=True),
            Field("int64_contents", 3, INT64, repeated=True),
            Field("uint_contents", 4, UINT32, repeated=True),
            Field("uint64_contents", 5, UINT64, repeated=True),
            Field("fp32_contents", 6, FLOAT, repeated=True),
            Field("fp64_contents", 7, DOUBLE, repeated=True),
            Field("bytes_contents", 8, BYTES, repeated=True),
        ),
        "ModelInferRequest": (
            Field("model_name", 1, STRING),
            Field("model_version", 2, STRING),
            Field("id", 3, STRING),
            _parameters(4),
            Field("inputs", 5, MESSAGE, _REQUEST + ".InferInputTensor", repeated=True),
            Field("outputs", 6, MESSAGE, _REQUEST + ".InferRequestedOutputTensor", repeated=True),
            Field("raw_input_contents", 7, BYTES, repeated=True),
        ),
        "ModelInferRequest.InferInputTensor": _tensor(_REQUEST),
        "ModelInferRequest.InferRequestedOutputTensor": (
            Field("name", 1, STRING),
            _parameters(2),
        ),
        "ModelInferResponse": (
            Field("model_name", 1, STRING),
            Field("model_version", 2, STRING),
            Field("id", 3, STRING),
            _parameters(4),
            Field("outputs", 5, MESSAGE, _RESPONSE + ".InferOutputTensor", repeated=True),
            Field("raw_output_contents", 6, BYTES, repeated=True),
        ),
        "ModelInferResponse.InferOutputTensor": _tensor(_RESPONSE),
        "ModelStreamInferResponse": (
            Field("error_message", 1, STRING),
            Field("infer_response", 2, MESSAGE, _RESPONSE),
        ),
        # Triton and MLServer put the model's name at 2, after a repository's at 1; KServe at 1.
        "RepositoryModelLoadRequest": (
            Field("model_name", 1, STRING),
            Field("name_after_repository", 2, STRING),
        ),
        "RepositoryModelLoadResponse": (
            Field("model_name", 1, STRING),
            Field("isLoaded", 2, BOOL),
        ),
        "RepositoryModelUnloadRequest": (
            Field("model_name", 1, STRING),
            Field("name_after_repository", 2, STRING),
        ),
        "RepositoryModelUnloadResponse": (
            Field("model_name", 1, STRING),
            Field("isUnloaded", 2, BOOL),
        ),
        "RepositoryIndexRequest": (
            Field("repository_name", 1, STRING),
            Field("ready", 2, BOOL),
        ),
        "RepositoryIndexResponse": (
            Field("models", 1, MESSAGE, "inference.RepositoryIndexResponse.ModelIndex", True),
        ),
        "RepositoryIndexResponse.ModelIndex": (
            *_MODEL_AND_VERSION,
            Field("state", 3, STRING),
            Field("reason", 4, STRING),
        ),
    },
    {
        "GRPCInferenceService": (
            *(
                Method(name, f"inference.{name}Request", f"inference.{name}Response")
                for name in (
                    "ServerLive",
                    "ServerReady",
                    "ModelReady",
                    "ServerMetadata",
                    "ModelMetadata",
                    "ModelInfer",
                    "RepositoryIndex",
                    "RepositoryModelLoad",
                    "RepositoryModelUnload",
                )
            ),
            Method("ModelStreamInfer", _REQUEST, "inference.ModelStreamInferResponse", True, True),
        )
    },
)

HEALTH = File(
    "grpc/health/v1/health.proto",
    "grpc.health.v1",
    {
        "HealthCheckRequest": (Field("service", 1, STRING),),
        "HealthCheckResponse": (
            Field("status", 1, ENUM, "grpc.health.v1.HealthCheckResponse.ServingStatus"),
        ),
    },
    {
        "Health": tuple(
            Method(
                name,
                "grpc.health.v1.HealthCheckRequest",
                "grpc.health.v1.HealthCheckResponse",
                gives_stream=name == "Watch",
            )
            for name in ("Check", "Watch")
        )
    },
    {
        "HealthCheckResponse.ServingStatus": (
            "UNKNOWN",
            "SERVING",
            "NOT_SERVING",
            "SERVICE_UNKNOWN",
        )
    },
)


def _reflection(version: str) -> File:
    package = f"grpc.reflection.{version}"
    request, response = f"{package}.ServerReflectionRequest", f"{package}.ServerReflectionResponse"
    asked, told = "message_request", "message_response"
    return File(
        f"grpc/reflection/{version}/reflection.proto",
        package,
        {
            "ServerReflectionRequest": (
                Field("host", 1, STRING),
                Field("file_by_filename", 3, STRING, choice=asked),
                Field("file_containing_symbol", 4, STRING, choice=asked),
                Field(
                    "file_containing_extension",
                    5,
                    MESSAGE,
                    f"{package}.ExtensionRequest",
                    choice=asked,
                ),
                Field("all_extension_numbers_of_type", 6, STRING, choice=asked),
                Field("list_services", 7, STRING, choice=asked),
            ),
            "ExtensionRequest": (
                Field("containing_type", 1, STRING),
                Field("extension_number", 2, INT32),
            ),
            "ServerReflectionResponse": (
                Field("valid_host", 1, STRING),
                Field("original_request", 2, MESSAGE, request),
                Field(
                    "file_descriptor_response",
                    4,
                    MESSAGE,
                    f"{package}.FileDescriptorResponse",
                    choice=told,
                ),
                Field(
                    "all_extension_numbers_response",
                    5,
                    MESSAGE,
                    f"{package}.ExtensionNumberResponse",
                    choice=told,
                ),
                Field(
                    "list_services_response",
                    6,
                    MESSAGE,
                    f"{package}.ListServiceResponse",
                    choice=told,
                ),
                Field("error_response", 7, MESSAGE, f"{package}.ErrorResponse", choice=told),
            ),
            "FileDescriptorResponse": (Field("file_descriptor_proto", 1, BYTES, repeated=True),),
            "ExtensionNumberResponse": (
                Field("base_type_name", 1, STRING),
                Field("extension_number", 2, INT32, repeated=True),
            ),
            "ListServiceResponse": (
                Field("service", 1, MESSAGE, f"{package}.ServiceResponse", repeated=True),
            ),
            "ServiceResponse": (Field("name", 1, STRING),),
            "ErrorResponse": (
                Field("error_code", 1, INT32),
                Field("error_message", 2, STRING),
            ),
        },
        {"ServerReflection": (Method("ServerReflectionInfo", request, response, True, True),)},
    )


FILES = (INFERENCE, HEALTH, _reflection("v1"), _reflection("v1alpha"))

MESSAGES = {
    f"{file.package}.{name}": message for file in FILES for name, message in file.messages.items()
}
"""The fields of each message by its full name."""
