"""PMML: models of any kind in the exchange format of the Data Mining Group, evaluated by JPMML.

JPMML runs on the machine's Java, within this process: a call costs microseconds, where KServe's
server asks a second process row by row.
"""

from __future__ import annotations

import logging
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.model_files import select_model_file
from sampan.runtimes.pmml_jvm import JavaFailed, Machine, start_machine
from sampan.runtimes.tabular_answers import make_answer, make_output
from sampan.runtimes.tabular_values import DATATYPES, Field, make_values
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model

logger = logging.getLogger("sampan.runtimes.pmml")

RUNTIME = Runtime(
    name="kserve-pmmlserver",
    server_type="pmmlserver",
    formats=(
        ModelFormat("pmml", "3", priority=1, auto_select=True),
        ModelFormat("pmml", "4", priority=1, auto_select=True),
    ),
    protocol_versions=("v1", "v2"),
    images=("kserve/pmmlserver", "kserve-pmmlserver"),
    model="sampan.runtimes.pmml:PMMLModel",
    extensions=(".pmml",),
    requirements=(*SERVER_REQUIREMENTS, "jpmml-evaluator>=0.11", "jpype1>=1.5"),
    package="jpmml-evaluator",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.pmml", "jpype"),
    entry_arguments=("--runtime=pmml", "--grpc_port=0"),
    forks=False,
)

_KINDS = {
    "string": "text",
    "integer": "number",
    "float": "number",
    "double": "number",
    "boolean": "truth",
}
"""PMML's data types; dates and times are text that JPMML reads."""
_WARM_ROUNDS = 200
"""Java compiles what has run often; the first request should not wait for most of that."""
_EXTERNAL = (b"<!DOCTYPE", b"<!ENTITY")
"""What may make a reader of XML open other files, or grow without end. PMML needs neither."""

_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([^"']*)""")
_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "windows-1252"})
"""Encodings in which ASCII is ASCII."""
_HEAD_BYTES = 256
_VERSION = re.compile(rb"""<PMML\b[^>]*?\bversion\s*=\s*["']([^"'<>]{1,20})""")


class PMMLModel(Model):
    """A PMML model. It answers all its output columns; every row by itself."""

    takes_arrays = True
    takes_headers = False
    quick = True
    row_wise = True

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        del trust, allowed  # PMML is data; JPMML runs nothing of it
        super().__init__(name)
        self._folder = Path(model_dir)
        self._fields: tuple[Field, ...] = ()
        self._machine: Machine | None = None
        self._outputs: list[dict[str, Any]] = []

    def load(self) -> bool:
        """Load and verify the one model file; LoadFailure tells what is wrong with it."""
        path = select_model_file(self._folder, RUNTIME.extensions)
        content = path.read_bytes()
        _check_markup(path, content)
        try:
            self._machine = start_machine(content)
        except JavaFailed as error:
            raise _diagnose(path, content, error) from None
        self._fields = tuple(
            Field(name, _KINDS.get(datatype, "any"))
            for name, datatype in self._machine.input_fields()
        )
        self._outputs = self._observe_outputs()
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Predict until Java has compiled the most of it."""
        if self._outputs:
            for _ in range(_WARM_ROUNDS):
                self._evaluate(self._zeros())

    def stop(self) -> None:
        """Let go of the model; the Java machine lives as long as the process."""
        self._machine = None
        super().stop()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return one matrix where all columns are numbers, else a tensor a column."""
        if all(field.kind == "number" for field in self._fields):
            return [{"name": "input-0", "datatype": "FP64", "shape": [-1, len(self._fields)]}]
        return [
            {"name": field.name, "datatype": DATATYPES[field.kind], "shape": [-1]}
            for field in self._fields
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return a tensor an output column."""
        return self._outputs

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload; what the model calls invalid is a 400."""
        del headers, response_headers
        return make_answer(payload, self._evaluate(make_values(payload, self._fields)), self.name)

    def _evaluate(self, values: list[list[Any]]) -> dict[str, list[Any]]:
        machine = self._machine
        if machine is None:
            raise InferenceError("the model is not loaded")
        try:
            answer, errors = machine.evaluate([field.name for field in self._fields], values)
        except JavaFailed as error:
            raise InferenceError(str(error)) from None
        for row, refusal in enumerate(errors or ()):
            if refusal:
                raise InvalidInput(f"row {row}: {refusal}")
        return answer

    def _zeros(self) -> list[list[Any]]:
        return [[0.0] if field.kind == "number" else [None] for field in self._fields]

    def _observe_outputs(self) -> list[dict[str, Any]]:
        """Return the outputs of a row of zeros; none where the model calls that invalid."""
        try:
            answer = self._evaluate(self._zeros())
        except (InferenceError, InvalidInput):
            return []
        outputs = (make_output(name, values) for name, values in answer.items())
        return [{"name": o.name, "datatype": o.datatype, "shape": [-1]} for o in outputs]


def _check_markup(path: Path, content: bytes) -> None:
    """Refuse what XML reads other files by, and encodings that could hide it."""
    declared = _ENCODING.search(content[:_HEAD_BYTES])
    encoding = declared[1].decode("ascii", "replace").lower() if declared else "utf-8"
    if b"\0" in content or encoding not in _ENCODINGS:
        raise LoadFailure(
            "ModelUntrusted",
            f'model file "{path.name}" is XML in another encoding than UTF-8, in which it cannot '
            "be checked for what reads other files; save it as UTF-8",
        )
    if any(word in content for word in _EXTERNAL):
        raise LoadFailure(
            "ModelUntrusted",
            f'model file "{path.name}" declares a document type or entities, by which XML can '
            "read other files; remove the declaration, PMML has no use for it",
        )


def _diagnose(path: Path, content: bytes, error: JavaFailed) -> LoadFailure:
    if error.reason == "RuntimeUnavailable":
        return LoadFailure(error.reason, str(error))
    told = _VERSION.search(content)
    form = (
        f"PMML {told[1].decode('ascii', 'replace')}" if told else "no PMML that tells its version"
    )
    mend = "export it again, and check that the copy is whole"
    if error.reason == "ModelIncompatible":
        mend = (
            "export it as PMML 4.4 or older, without what is named, or set runtimeVersion to a "
            "jpmml-evaluator that reads it"
        )
    return LoadFailure(
        error.reason,
        f'model file "{path.name}" is {form} and cannot be read by jpmml-evaluator '
        f"{version('jpmml-evaluator')} ({error}); {mend}",
    )
