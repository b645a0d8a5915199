"""Triton's backend "onnxruntime": the same engine as the runtime of single files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampan.runtimes.onnx_session import OnnxSession
from sampan.runtimes.tensor_specs import Specs
from sampan.runtimes.triton.backends import Source

_THREADS = "intra_op_thread_count"


class OnnxBackend:
    """One session, however many instances: it may be run by many threads at once."""

    quick = True

    def __init__(self, source: Source) -> None:
        threads = source.config.parameters.get(_THREADS, "")
        self._session = OnnxSession(source.path, int(threads) if threads.isdigit() else 0)
        self.inputs: Specs | None = self._session.inputs
        self.outputs: Specs | None = self._session.outputs

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Run the graph."""
        return self._session.run(given, outputs)

    def close(self) -> None:
        """Nothing is held but memory."""
