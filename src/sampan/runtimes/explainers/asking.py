"""Asking the predictor what it says of many rows: in batches, within a time, told as it goes on.

Explainers change a row a little and ask again, thousands of times. What they call is an ordinary
function of an array; it runs on a worker thread, where waiting holds up nobody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from sampan.client import Client
from sampan.client.failure import NoAnswer, RequestFailed
from sampan.client.forwarding import select_headers
from sampan.protocol.errors import InferenceError, RequestTimeout
from sampan.runtimes.explainers.declaration import Asked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

logger = logging.getLogger("sampan.explain")

_TELL_SECONDS = 2.0
"""How often the log says how far a long explanation is."""


class Asking:
    """The calls of one explanation. Call it with rows, get what the predictor says of them."""

    def __init__(self, asked: Asked, model: str, headers: Mapping[str, str] | None) -> None:
        self._base = f"{asked.scheme}://{asked.host}"
        # No call outlasts an explanation: its thread would be held long after its client was told.
        self._client = Client(self._base, timeout=min(asked.call_seconds, asked.explain_seconds))
        self._asked = asked
        self._model = model
        self._headers = select_headers(headers)
        self._began = self._told = time.monotonic()
        self._input: tuple[str, np.dtype[Any]] | None = None
        self.rows = 0
        """How many rows were asked so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, rows: Floats) -> Floats:
        """Return the answers, one a row: numbers, or a row of numbers each.

        Raises RequestTimeout when the explanation has taken its time, and InferenceError where the
        predictor does not answer, or answers something else.
        """
        import numpy as np

        size = self._asked.batch_size
        parts = [self._ask(rows[at : at + size]) for at in range(0, len(rows), size)]
        return np.concatenate(parts)

    def predict(self, payload: Any) -> Any:
        """Hand a client's own V1 request to the predictor."""
        try:
            with closing(Client(self._base, timeout=self._asked.call_seconds)) as client:
                return _decoded(client.predict(self._model, payload, self._headers))
        except (RequestFailed, NoAnswer) as error:
            raise InferenceError(str(error)) from error

    def _ask(self, rows: Floats) -> Floats:
        self._check_time()
        try:
            found = self._infer(rows) if self._asked.protocol == "v2" else self._predict(rows)
        except (RequestFailed, NoAnswer) as error:
            self._check_time()
            raise InferenceError(f"the predictor cannot be asked: {error}") from error
        answers = _numbers(found)
        if answers is None:
            raise InferenceError(
                f"the predictor answers {str(found)[:80]!r} where numbers are needed; explain a "
                "model that answers numbers"
            )
        if len(answers) != len(rows):
            raise InferenceError(
                f"the predictor answers {len(answers)} rows to {len(rows)}; explain a model that "
                "answers each row"
            )
        self.rows += len(rows)
        return answers

    def _predict(self, rows: Floats) -> Any:
        told = _decoded(
            self._client.predict(self._model, {"instances": rows.tolist()}, self._headers)
        )
        return told.get("predictions") if isinstance(told, dict) else told

    def _infer(self, rows: Floats) -> Any:
        import numpy as np

        name, kind = self._input = self._input or self._find_input()
        if rows.dtype.kind == "O":  # texts
            kind = np.dtype(object)
        inputs = {name: np.ascontiguousarray(rows, dtype=kind)}
        answer = self._client.infer(self._model, inputs, headers=self._headers)
        return answer.outputs[0].as_numpy()

    def _find_input(self) -> tuple[str, np.dtype[Any]]:
        """Return name and type of the predictor's tensor; doubles where it does not tell."""
        import numpy as np

        given = self._asked.input_name
        try:
            told = self._client.model_metadata(self._model).get("inputs") or [{}]
        except RequestFailed:  # a server may have none
            told = [{}]
        name, datatype = told[0].get("name"), told[0].get("datatype")
        single = datatype == "FP32" or (given and not datatype)
        return given or name or "input-0", np.dtype("f4" if single else "f8")

    def _check_time(self) -> None:
        now, limit = time.monotonic(), self._asked.explain_seconds
        if now - self._began > limit:
            raise RequestTimeout(limit)
        if now - self._told > _TELL_SECONDS:
            self._told = now
            logger.info('explaining "%s": %d rows asked in %.0f s', self._model, self.rows,
                        now - self._began)  # fmt: skip


def _numbers(found: Any) -> Floats | None:
    """Return an answer as an array of rows, None where it is none."""
    import numpy as np

    try:
        answers = np.asarray(found, dtype=float)
    except (TypeError, ValueError):
        return None
    return answers if answers.ndim else None


def _decoded(answer: Any) -> Any:
    """Decode JSON that came under another content type, as KServe's batcher sends it."""
    if not isinstance(answer, bytes):
        return answer
    import orjson

    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer
