"""V1 and V2 around an encoder: the texts of a request, and what it answers in that protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.tensor_answers import make_answer


def read_texts(payload: Any) -> list[str]:
    """Return the texts of a request; InvalidInput names the instance or tensor that is none."""
    if isinstance(payload, InferRequest):
        tensor = payload.inputs[0]
        if tensor.datatype != "BYTES":
            raise InvalidInput(
                f'input "{tensor.name}" has datatype {tensor.datatype}; send BYTES, a text each'
            )
        try:
            texts: list[Any] = tensor.as_string()
        except UnicodeDecodeError as error:
            raise InvalidInput(f'input "{tensor.name}" is no UTF-8 ({error}); send text') from None
        where = f'element {{}} of input "{tensor.name}"'
    else:
        if not isinstance(payload, dict) or "instances" not in payload:
            raise InvalidInput('Expected a JSON object with "instances", a list of texts')
        texts, where = payload["instances"], "instance {}"
    if not texts:
        raise InvalidInput("there is no text; send at least one")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInput(f"{where.format(number)} is {text!r:.60}; send a text")
    return texts


def make_encoder_answer(payload: Any, answers: Mapping[str, list[Any]], name: str) -> Any:
    """Return V1's predictions, or a V2 tensor an output.

    V2 has no objects: scores by class are sent as text, each as Python writes a dict, which is what
    KServe's server sends.
    """
    if not isinstance(payload, InferRequest):
        if len(answers) == 1:
            return {"predictions": next(iter(answers.values()))}
        rows = zip(*answers.values(), strict=True)
        return {"predictions": [dict(zip(answers, row, strict=True)) for row in rows]}
    return make_answer(payload, {n: _make_array(v) for n, v in answers.items()}, name)


def _make_array(values: list[Any]) -> np.ndarray[Any, Any]:
    array = np.array(values)
    if array.dtype.kind == "O":
        flat = [str(item).encode() for item in array.ravel()]
    elif array.dtype.kind == "U":
        flat = [item.encode() for item in array.ravel().tolist()]
    elif array.dtype.kind == "f":
        return array.astype(np.float32)
    else:
        return array.astype(np.int64)
    made = np.empty(len(flat), dtype=object)
    made[:] = flat
    return made.reshape(array.shape)
