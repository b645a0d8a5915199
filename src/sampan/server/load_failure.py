"""Why a model does not load, as a reason that machines read and words that people read."""

from __future__ import annotations


class LoadFailure(Exception):
    """The model cannot be served. `reason` is one CamelCase word of the list below.

    ModelMissing, ModelAmbiguous, ModelUntrusted, ModelIncompatible, ModelCorrupt, ModelFormat,
    RuntimeUnavailable, OutOfMemory, ModelLoadFailed.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def missing_package(package: str, error: ImportError, install: str = "") -> LoadFailure:
    """Return the failure of an engine that is not there; `install` where another package has it."""
    return LoadFailure(
        "RuntimeUnavailable",
        f"{package} is not in the environment ({error}); install {install or package}",
    )


def describe_failure(error: BaseException) -> LoadFailure:
    """Return the failure behind anything that `load` raised."""
    if isinstance(error, LoadFailure):
        return error
    if isinstance(error, MemoryError):
        return LoadFailure(
            "OutOfMemory", f"memory ran out while the model was loading ({error}); raise its limit"
        )
    return LoadFailure("ModelLoadFailed", f"{type(error).__name__}: {error}")
