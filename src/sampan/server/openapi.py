"""The OpenAPI 3.1 document of what is loaded, made from the models' metadata. Pure.

Each model stands with its own paths, so that a page can try it with an example of the right shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from sampan.protocol.datatypes import NUMPY_NAMES

Schema: TypeAlias = "dict[str, Any]"

_ERROR = {"$ref": "#/components/schemas/Error"}
_EXAMPLES: dict[str, Any] = {"BOOL": True, "BYTES": "text"}


@dataclass(frozen=True, slots=True)
class Described:
    """A model as the document needs it: its name, and its tensors as metadata tells them."""

    name: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


def build_document(models: Iterable[Described], version: str) -> Schema:
    """Return the document for these models."""
    paths: Schema = dict(_SERVER_PATHS)
    tags = []
    for model in models:
        paths.update(_model_paths(model))
        tags.append({"name": model.name, "description": _describe(model)})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sampan model server",
            "version": version,
            "description": "KServe V1 and V2 (Open Inference Protocol) of the models loaded here.",
        },
        "tags": [*tags, {"name": "server", "description": "Health, metadata and metrics."}],
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _describe(model: Described) -> str:
    if not model.inputs and not model.outputs:
        return "The model tells nothing of its tensors."
    return f"{_tensors(model.inputs)} to {_tensors(model.outputs)}"


def _tensors(tensors: list[dict[str, Any]]) -> str:
    told = [f"{t.get('name')}: {t.get('datatype')} {t.get('shape')}" for t in tensors]
    return ", ".join(told) or "unknown"


def _model_paths(model: Described) -> Schema:
    name = quote(model.name, safe="")
    v1, v2 = f"/v1/models/{name}", f"/v2/models/{name}"
    tag = model.name
    return {
        f"{v1}:predict": {
            "post": _operation(
                tag, "V1 predict", "V1Request", _ref("V1Response"), _v1_example(model)
            )
        },
        f"{v1}:explain": {
            "post": _operation(
                tag, "V1 explain", "V1Request", _ref("V1Response"), _v1_example(model)
            )
        },
        v1: {"get": _operation(tag, "V1 readiness", "", _ref("ModelReady"))},
        f"{v2}/infer": {
            "post": _operation(
                tag,
                "V2 inference",
                "InferenceRequest",
                _ref("InferenceResponse"),
                _v2_example(model),
            )
        },
        f"{v2}/generate": {
            "post": _operation(
                tag, "Generate", "GenerateRequest", {"type": "object"}, {"text_input": "text"}
            )
        },
        v2: {"get": _operation(tag, "V2 metadata", "", _ref("ModelMetadata"))},
        f"{v2}/ready": {"get": _operation(tag, "V2 readiness", "", _ref("ModelReady"))},
    }


def _operation(
    tag: str, summary: str, request: str, answer: Schema, example: Any = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "responses": {
            "200": _response("The answer", answer),
            "default": _response("What is wrong, and what would mend it", _ERROR),
        },
    }
    if request:
        body: Schema = {"schema": _ref(request)}
        if example is not None:
            body["example"] = example
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    return operation


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _v1_example(model: Described) -> Any:
    if not model.inputs:
        return {"instances": [[0.0]]}
    shape, datatype = _shape(model.inputs[0]), str(model.inputs[0].get("datatype"))
    return {"instances": _filled(shape, datatype)}


def _v2_example(model: Described) -> Any:
    known = model.inputs or [{"name": "input-0", "datatype": "FP32", "shape": [1, 1]}]
    inputs = []
    for tensor in known:
        shape, datatype = _shape(tensor), str(tensor.get("datatype", "FP32"))
        inputs.append(
            {
                "name": str(tensor.get("name", "input-0")),
                "shape": shape,
                "datatype": datatype,
                "data": _filled(shape, datatype),
            }
        )
    return {"id": "1", "inputs": inputs}


def _shape(tensor: dict[str, Any]) -> list[int]:
    """Return a small shape that fits: 1 where the metadata leaves a dimension open."""
    return [
        size if isinstance(size, int) and 0 < size <= 16 else 1
        for size in tensor.get("shape") or [1]
    ]


def _filled(shape: list[int], datatype: str) -> Any:
    value = _EXAMPLES.get(datatype, 0.0 if datatype.startswith("FP") else 0)
    for size in reversed(shape):
        value = [value] * size
    return value


_PARAMETERS: Schema = {
    "type": ["object", "null"],
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_DATATYPE: Schema = {"type": "string", "enum": list(NUMPY_NAMES)}
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_TENSOR: Schema = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": _SHAPE,
        "datatype": _DATATYPE,
        "parameters": _PARAMETERS,
        "data": {"type": "array"},
    },
}
_SCHEMAS: Schema = {
    "Error": {
        "type": "object",
        "properties": {"error": {"type": "string"}, "detail": {}},
    },
    "V1Request": {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": {"type": "array"}},
    },
    "V1Response": {"type": "object", "properties": {"predictions": {"type": "array"}}},
    "ModelReady": {
        "type": "object",
        "required": ["name", "ready"],
        "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}},
    },
    "ModelMetadata": {
        "type": "object",
        "required": ["name", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": ["array", "null"]},
            "platform": {"type": "string"},
            "inputs": {"type": "array"},
            "outputs": {"type": "array"},
        },
    },
    "InferenceRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": {"type": "array", "minItems": 1, "items": _TENSOR},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
                },
            },
        },
    },
    "InferenceResponse": {
        "type": "object",
        "required": ["model_name", "id", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": ["string", "null"]},
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "outputs": {"type": "array", "items": _TENSOR},
        },
    },
    "GenerateRequest": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "text_input": {"type": "string"},
            "parameters": {"type": "object"},
        },
        "additionalProperties": {"type": ["string", "number", "boolean", "array"]},
    },
}
_SERVER_PATHS: Schema = {
    "/": {"get": _operation("server", "Liveness", "", {"type": "object"})},
    "/v1/models": {"get": _operation("server", "Models", "", {"type": "object"})},
    "/v2": {"get": _operation("server", "Server metadata", "", {"type": "object"})},
    "/v2/health/live": {"get": _operation("server", "V2 liveness", "", {"type": "object"})},
    "/v2/health/ready": {"get": _operation("server", "V2 readiness", "", {"type": "object"})},
    "/v2/models": {"get": _operation("server", "Models", "", {"type": "object"})},
    "/metrics": {
        "get": {
            "tags": ["server"],
            "summary": "Prometheus metrics",
            "responses": {
                "200": {
                    "description": "Text format 0.0.4",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                }
            },
        }
    },
}
