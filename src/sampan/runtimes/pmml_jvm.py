"""The Java machine of this process, and a PMML model in it. Nothing outside knows of Java."""

from __future__ import annotations

import pickle
import threading
from typing import Any

_OPTIONS = (
    "-Xrs",  # signals stay Python's: SIGTERM drains the server, it does not end Java under it
    "-XX:+UseSerialGC",  # one thread of collection: small heaps, and memory at rest is half
    # The machine's memory / 64 else, all of which is touched before anything is collected. 24 MiB
    # for the young are too few: measured, an evaluation then takes 1.4 times the CPU time.
    "-Xms64m",
    "-XX:NewSize=40m",
    "-Xshare:auto",
)
_STARTING = threading.Lock()
_INCOMPATIBLE = (
    *("Unsupported", "not supported", "unexpected element"),
    *("InvalidMarkup", "MissingMarkup", "InvalidAttribute", "InvalidElement"),
    *("MissingAttribute", "MissingElement"),
)
"""Words by which JPMML says that this is PMML, and not what it evaluates."""


class JavaFailed(Exception):
    """What Java raised. `reason` is one of `server.load_failure`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Machine:
    """A verified model in the Java machine."""

    def __init__(self, backend: Any, evaluator: Any) -> None:
        from jpmml_evaluator import PythonEvaluatorUtil

        self._evaluator = evaluator
        self._java = backend._ensureJavaClass(PythonEvaluatorUtil.JAVA_CLASS_NAME)  # noqa: SLF001  # it caches

    def input_fields(self) -> list[tuple[str, str]]:
        """Return name and PMML data type of each input, in the model's order."""
        return [(field.name, field.dataType) for field in self._evaluator.getInputFields()]

    def evaluate(
        self, names: list[str], values: list[list[Any]]
    ) -> tuple[dict[str, list[Any]], list[str | None] | None]:
        """Return the answers by output column, and the error of each row where any has one.

        One call for all rows, columns pickled both ways as JPMML's own binding does it; on this
        thread: parallel streams cost more than a small model.
        """
        arguments = pickle.dumps({"columns": names, "data": values}, protocol=2)
        try:
            told = self._java.evaluateAll(self._evaluator.javaEvaluator, arguments, None, 1)
        except Exception as error:  # noqa: BLE001  # Java's exceptions have no Python base but this
            raise JavaFailed("ModelLoadFailed", _text(error)) from None
        result = pickle.loads(told)  # noqa: S301  # of JPMML, in this process
        return dict(zip(result["columns"], result["data"], strict=True)), result["errors"]


def start_machine(content: bytes) -> Machine:
    """Start Java where it does not run yet, and return the model; JavaFailed."""
    try:
        import jpype
        from jpmml_evaluator import _classpath, make_evaluator
        from jpmml_evaluator.jpype import JPypeBackend
    except ImportError as error:
        raise JavaFailed(
            "RuntimeUnavailable",
            f"jpmml-evaluator is not in the environment ({error}); install jpmml-evaluator and "
            "jpype1",
        ) from None
    with _STARTING:
        if not jpype.isJVMStarted():
            try:
                jpype.startJVM(*_OPTIONS, classpath=_classpath([]))
            except (jpype.JVMNotFoundException, OSError, RuntimeError) as error:
                raise JavaFailed(
                    "RuntimeUnavailable",
                    f"PMML is evaluated on Java, which does not start here ({error}); install a "
                    "Java runtime of version 11 or newer, or set JAVA_HOME to the one to use",
                ) from None
    backend = JPypeBackend()
    try:
        evaluator = make_evaluator(content, backend=backend)
        evaluator.verify()
    except Exception as error:  # noqa: BLE001  # as above
        told = _text(error)
        incompatible = any(word in told for word in _INCOMPATIBLE)
        raise JavaFailed("ModelIncompatible" if incompatible else "ModelCorrupt", told) from None
    return Machine(backend, evaluator)


def _text(error: Exception) -> str:
    """Return what Java says: the innermost cause that has words, its class without the package."""
    name, message = type(error).__name__, str(error)
    cause: Any = error
    while cause is not None:
        java = getattr(cause, "getMessage", None)
        told = str(java()) if java is not None and java() else ""
        name, message = (type(cause).__name__, told) if told else (name, message)
        cause = cause.getCause() if hasattr(cause, "getCause") else None
    return f"{name.rpartition('.')[2]}: {message.partition(' Expected elements')[0]}"[:400]
