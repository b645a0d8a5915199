"""Which requests fit into one call of a model, how they are joined, how the answer is parted. Pure.

Only equal things are joined: the same names, datatypes, trailing shapes and parameters, so that a
row meets the model exactly as it would have alone. Rows are the first axis.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sampan.protocol.tensors import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    InferTensor,
)
from sampan.server.response_ids import make_response_id

_NUMBERS = "biuf"  # NumPy's kinds whose joining keeps every value; text and objects are told apart
_SAME_TEXT = frozenset("?bBhHiIlLqQd")
"""NumPy's type codes whose values as Python's read alike in JSON; not so float32, for one."""
_LISTED = 1024  # values; above it orjson's way through an array is the quicker one


USUAL_SIZE = 256


class NotRowWise(Exception):
    """The answer has not one row for each row asked."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch grows, and how long it may wait for company.

    `max_size` counts rows; a single larger request is still one batch. `max_latency` is seconds
    from the first request, 0 adds no wait. Of several `preferred` sizes the largest that the
    waiting requests can fill exactly is taken; none fitting, all that is there.
    """

    max_size: int = USUAL_SIZE
    max_latency: float = 0.0
    preferred: tuple[int, ...] = ()
    tagged: bool = False
    """Whether V1 answers carry `message` and `batchId`, as those of KServe's batcher do."""


class Part(NamedTuple):
    """One request's rows. Parts of equal `signature` may be joined."""

    signature: Hashable
    rows: int
    payload: Any
    array: Any = None
    """The instances of a V1 request as an array, where they are numbers."""


def make_part(payload: Any) -> Part | None:
    """Return how a payload may be joined; None: it is predicted by itself."""
    if isinstance(payload, InferRequest):
        return _part_v2(payload)
    if isinstance(payload, dict) and len(payload) == 1:
        instances = payload.get("instances")
        if isinstance(instances, list) and instances:
            return _part_v1(payload, instances)
    return None


def _part_v1(payload: dict[str, Any], instances: list[Any]) -> Part | None:
    import numpy as np

    if isinstance(instances[0], str):
        text = all(isinstance(instance, str) for instance in instances)
        return Part("text", len(instances), payload) if text else None
    try:
        array = np.array(instances)
    except (ValueError, OverflowError, RecursionError):
        return None  # the model says what is wrong with it
    if array.dtype.kind not in _NUMBERS:
        return None
    return Part((array.dtype.char, array.shape[1:]), len(instances), payload, array)


def _part_v2(request: InferRequest) -> Part | None:
    inputs = request.inputs
    if not inputs or not inputs[0].shape or inputs[0].shape[0] < 1:
        return None
    rows = inputs[0].shape[0]
    tensors = []
    for tensor in inputs:
        if not tensor.shape or tensor.shape[0] != rows:
            return None
        tensors.append(_tensor_signature(tensor))
    outputs = request.request_outputs or ()
    wanted = [(output.name, _frozen(output.parameters)) for output in outputs]
    given = _frozen(request.parameters)
    signature = (tuple(tensors), request.model_version, given, tuple(wanted))
    return Part(signature, rows, request)


def _tensor_signature(tensor: InferTensor) -> Hashable:
    trailing = tuple(tensor.shape[1:])
    return tensor.name, tensor.datatype, trailing, tensor.form, _frozen(tensor.parameters)


def _frozen(parameters: dict[str, Any] | None) -> Hashable:
    """Return parameters as a key. `repr` keeps apart what Python calls equal: 1, 1.0 and True."""
    return repr(sorted(parameters.items())) if parameters else None


def select_count(rows: Sequence[int], limits: BatchLimits) -> int:
    """Return how many of the waiting requests make the next batch: at least one of them."""
    total, count, preferred = 0, 0, 0
    for number, more in enumerate(rows, 1):
        total += more
        if total > limits.max_size and number > 1:
            break
        count = number
        if total in limits.preferred:
            preferred = number
    return preferred or count


def merge(parts: Sequence[Part], *, arrays: bool) -> Any:
    """Return one payload of several parts. `arrays`: V1 instances of numbers stay an array."""
    first = parts[0].payload
    if isinstance(first, InferRequest):
        return _merge_v2(parts, first, lists=not arrays)
    import numpy as np

    if arrays and parts[0].array is not None:
        return {"instances": np.concatenate([part.array for part in parts])}
    return {"instances": [row for part in parts for row in part.payload["instances"]]}


def _merge_v2(parts: Sequence[Part], first: InferRequest, *, lists: bool) -> InferRequest:
    import numpy as np

    rows = sum(part.rows for part in parts)
    inputs = []
    for index, tensor in enumerate(first.inputs):
        tensors = [part.payload.inputs[index] for part in parts]
        data = None
        if lists and tensor.form in {"flat", "nested"}:
            data = [item for each in tensors for item in each.data]
        shape = [rows, *tensor.shape[1:]]
        merged = InferInput(tensor.name, shape, tensor.datatype, None, tensor.parameters)
        merged.set_array(np.concatenate([each.as_numpy() for each in tensors]), data)
        inputs.append(merged)
    return InferRequest(
        first.model_name,
        inputs,
        None,
        parameters=first.parameters,
        request_outputs=first.request_outputs,
        model_version=first.model_version,
    )


def split(result: Any, parts: Sequence[Part]) -> list[Any]:
    """Return the answer of each part, in their order; NotRowWise where rows do not match."""
    rows = sum(part.rows for part in parts)
    if isinstance(result, InferResponse):
        return _split_v2(result, parts, rows)
    if not isinstance(result, dict) or result.keys() != {"predictions"}:
        raise NotRowWise
    predictions = result["predictions"]
    if not hasattr(predictions, "__getitem__") or len(predictions) != rows:
        raise NotRowWise
    if _is_listed(predictions):
        predictions = predictions.tolist()
    answers, start = [], 0
    for part in parts:
        end = start + part.rows
        answers.append({"predictions": predictions[start:end]})
        start = end
    return answers


def _is_listed(predictions: Any) -> bool:
    """Whether cutting and writing a list is quicker than an array, and the text is the same."""
    dtype = getattr(predictions, "dtype", None)
    return dtype is not None and dtype.char in _SAME_TEXT and predictions.size <= _LISTED


def _split_v2(result: InferResponse, parts: Sequence[Part], rows: int) -> list[Any]:
    arrays = [(output, output.as_numpy()) for output in result.outputs]
    if not arrays or any(not array.ndim or len(array) != rows for _, array in arrays):
        raise NotRowWise
    answers, start = [], 0
    for part in parts:
        end = start + part.rows
        answers.append(
            InferResponse(
                part.payload.id or make_response_id(),
                result.model_name,
                [_rows_of(output, array[start:end]) for output, array in arrays],
                model_version=result.model_version,
                parameters=result.parameters,
                use_binary_outputs=result.use_binary_outputs,
                requested_outputs=result.requested_outputs,
            )
        )
        start = end
    return answers


def _rows_of(output: InferOutput, array: Any) -> InferOutput:
    part = InferOutput(output.name, list(array.shape), output.datatype, None, output.parameters)
    part.set_array(array)
    return part
