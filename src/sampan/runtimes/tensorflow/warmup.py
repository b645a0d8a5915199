"""Requests that were recorded with a model, asked before it serves.

A SavedModel may hold them in `assets.extra/tf_serving_warmup_requests`: PredictionLog messages in
TensorFlow's record format, at most 1,000 (TensorFlow Serving, "SavedModel Warmup").
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import ServingError
from sampan.protocol.grpc import protobuf
from sampan.runtimes.tensor_specs import validate_arrays
from sampan.runtimes.tensorflow import messages, results, tensor_proto
from sampan.server.load_failure import LoadFailure

if TYPE_CHECKING:
    from sampan.runtimes.tensorflow.saved_model import SavedModel

logger = logging.getLogger("sampan.runtimes.tensorflow")

RECORDS = "assets.extra/tf_serving_warmup_requests"
_MOST = 1000  # TensorFlow Serving's own limit
_LENGTH, _CHECK = 8, 4
"""A record: its length and that one's checksum, its bytes and theirs."""
_CLASSIFY, _REGRESS, _MULTI, _SESSION, _PREDICT = 2, 3, 4, 5, 6
"""The fields of a PredictionLog; the request is each one's first (`prediction_log.proto`)."""
_EXAMPLES = {_CLASSIFY: results.CLASSIFY, _REGRESS: results.REGRESS}
_STREAMED = 7
_UNUSED = {_SESSION: "SessionRunLog", _STREAMED: "PredictStreamedLog"}


def replay(model: SavedModel, path: Path, rounds: int) -> None:
    """Ask what a file has recorded, so many times; LoadFailure names a request that fails."""
    asked, left = 0, Counter[str]()
    try:
        for record in islice(_records(path), _MOST):
            kind, request = _request(record)
            if kind in {_PREDICT, _MULTI, *_EXAMPLES}:
                for _ in range(rounds):
                    _ask(model, kind, request)
                asked += 1
            else:
                left[_UNUSED.get(kind, f"field {kind}")] += 1
    except (ServingError, ValueError) as error:
        raise LoadFailure(
            "ModelIncompatible",
            f'warm-up request {asked + sum(left.values())} of "{path.name}" is not answered: '
            f"{error}; record it anew, or start the server with --enable_model_warmup=false",
        ) from error
    logger.info("%d recorded requests were asked", asked)
    for name, count in left.items():
        logger.warning("%d recorded requests of %s are not asked: not served here", count, name)


def _records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file; ValueError where it is cut short."""
    with path.open("rb") as file:
        while head := file.read(_LENGTH + _CHECK):
            size = int.from_bytes(head[:_LENGTH], "little")
            whole = len(head) == _LENGTH + _CHECK and size <= path.stat().st_size
            data = file.read(size + _CHECK) if whole else b""
            if len(data) != size + _CHECK:
                raise ValueError("the file is cut short")
            yield data[:size]


def _request(record: bytes) -> tuple[int, bytes]:
    """Return which log a PredictionLog holds, and the request's bytes."""
    for tag, start, stop in protobuf.fields(record, 0, len(record)):
        kind = tag >> 3
        if kind == 1:  # where it was recorded
            continue
        for inner, begin, close in protobuf.fields(record, start, stop):
            if inner == 1 << 3 | protobuf.LENGTH:
                return kind, record[begin:close]
        return kind, b""
    raise ValueError("a record holds no request")


def _ask(model: SavedModel, kind: int, data: bytes) -> None:
    if kind == _PREDICT:
        _predict(model, data)
    elif kind == _MULTI:
        tasks, examples = messages.walk_tasks(data)
        for task in tasks:
            spec = messages.make_spec(task.get("model_spec"))
            _infer(model, spec.signature, task["method_name"], examples)
    else:
        spec, examples = messages.walk_examples(data)
        _infer(model, spec.signature, _EXAMPLES[kind], examples)


def _predict(model: SavedModel, data: bytes) -> None:
    request = messages.walk_predict(data)
    signature = model.find(request.spec.signature)
    given: dict[str, Any] = {
        name: tensor_proto.decode(name, data, *place) for name, place in request.places.items()
    }
    validate_arrays(given, signature.inputs)
    names = request.outputs or [spec.name for spec in signature.outputs]
    model.run(signature, given, names)


def _infer(model: SavedModel, name: str, method: str, examples: list[bytes]) -> None:
    signature = model.find(name)
    results.validate_method(signature, method)
    wanted = results.select_outputs(signature, method)
    model.run(signature, {results.INPUT: results.make_input(examples)}, wanted)
