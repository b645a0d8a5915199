"""Classifications and regressions of a signature's outputs (`classifier.cc`, `regressor.cc`).

Only signatures of those methods are asked so: they take serialized examples, and answer labels
and scores, or values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.tensorflow.messages import Classes
from sampan.runtimes.tensorflow.saved_model import Signature

if TYPE_CHECKING:
    import numpy as np

    Arrays = Mapping[str, np.ndarray[Any, Any]]

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
_WORDS = {CLASSIFY: "classification", REGRESS: "regression"}
_OUTPUTS = {CLASSIFY: ("classes", "scores"), REGRESS: ("outputs",)}
INPUT = "inputs"
"""The one input of such a signature."""


def validate_method(signature: Signature, method: str) -> None:
    """Raise InvalidInput unless a signature is one of a method."""
    word = _WORDS[method]
    if signature.method != method:
        raise InvalidInput(
            f"Expected {word} signature method_name to be {method}. Was: {signature.method}; ask "
            "predict, or name another signature_name"
        )
    if [spec.name for spec in signature.inputs] != [INPUT]:
        raise InvalidInput(f'No {word} inputs found in SignatureDef: "{signature.name}"')
    if not any(spec.name in _OUTPUTS[method] for spec in signature.outputs):
        wanted = " or ".join(f'"{name}"' for name in _OUTPUTS[method])
        raise InvalidInput(
            f"Expected {word} signature outputs to contain {wanted}. Signature was: "
            f'"{signature.name}"'
        )


def make_input(examples: Sequence[bytes]) -> np.ndarray[Any, Any]:
    """Return serialized examples as the one input of such a signature."""
    import numpy as np

    texts = np.empty(len(examples), dtype=object)
    texts[:] = examples
    return texts


def select_outputs(signature: Signature, method: str) -> list[str]:
    """Return the outputs that a method asks for."""
    return [spec.name for spec in signature.outputs if spec.name in _OUTPUTS[method]]


def make_classifications(arrays: Arrays, rows: int) -> list[Classes]:
    """Return labels and scores a row; a missing one is "" or 0.0."""
    for name, array in arrays.items():
        if array.ndim != 2:
            raise InvalidInput(
                "Expected Tensor shape: [batch_size num_classes] but got "
                f'{list(array.shape)} for "{name}"'
            )
        _validate_rows(array, rows, f"{name} ")
    labels, scores = arrays.get("classes"), arrays.get("scores")
    widths = {array.shape[1] for array in arrays.values()}
    if len(widths) > 1:
        raise InvalidInput(f"Tensors class and score should match in dim_size(1). Got {widths}")
    columns = range(widths.pop())
    return [
        [
            (
                "" if labels is None else labels[row, column].decode("utf-8", "replace"),
                0.0 if scores is None else float(scores[row, column]),
            )
            for column in columns
        ]
        for row in range(rows)
    ]


def make_regressions(arrays: Arrays, rows: int) -> list[float]:
    """Return a value a row."""
    array = arrays["outputs"]
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] != 1):
        raise InvalidInput(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{list(array.shape)}"
        )
    _validate_rows(array, rows, "")
    return [float(value) for value in array.ravel()]


def _validate_rows(array: np.ndarray[Any, Any], rows: int, name: str) -> None:
    if array.shape[0] != rows:
        raise InvalidInput(f"Expected {name}output batch size of {rows}. Got: {array.shape[0]}")
