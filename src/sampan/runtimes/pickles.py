"""Loads pickles and joblib files without running what they name.

A pickle is a program: it imports what it likes and calls it. Here it may only name what is on an
allow-list of full names that the operator holds; everything else is refused before it is imported.
joblib's files are pickles with raw arrays between the opcodes (and, for arrays of objects, pickles
within the pickle); they are read here as well, by the same rule, without joblib's loader.

What an allow-list cannot promise: that crafted numbers inside an allowed compiled class do not
crash it. A model from a stranger belongs in a sandbox.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

JOBLIB_ARRAY = "joblib.numpy_pickle:NumpyArrayWrapper"
_MISNAMED = {"_loss": "sklearn._loss._loss"}
"""Modules that compiled code of scikit-learn up to 1.5 names without their package."""
_READ_BYTES = 16 * 1024 * 1024


class Untrusted(Exception):
    """The file names something that is not on the allow-list. `name` is `module.qualname`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class ArrayPlaceholder:
    """Stands for an array until its state is known; then the array is read from the file.

    Takes the place of joblib's NumpyArrayWrapper, whose attributes it is given.
    """

    shape: tuple[int, ...]
    order: str
    dtype: Any
    numpy_array_alignment_bytes: int | None = None

    def read(self, unpickler: RestrictedUnpickler) -> Any:
        """Return the array that follows in the file."""
        import numpy as np

        if self.dtype.hasobject:
            return RestrictedUnpickler(unpickler.file, unpickler.allowed).load()
        if self.numpy_array_alignment_bytes is not None:
            padding = unpickler.file.read(1)
            _read_exactly(unpickler.file, padding[0] if padding else 0)
        count = 1
        for size in self.shape:
            count *= int(size)
        raw = _read_exactly(unpickler.file, count * self.dtype.itemsize)
        array = np.frombuffer(raw, dtype=self.dtype, count=count)
        if not self.dtype.isnative:
            array = array.astype(self.dtype.newbyteorder("="))
        if self.order == "F":
            return array.reshape(self.shape[::-1]).transpose()
        return array.reshape(self.shape)


_load_build: Callable[[Any], None] = pickle._Unpickler.dispatch[pickle.BUILD[0]]  # noqa: SLF001


class RestrictedUnpickler(pickle._Unpickler):  # noqa: SLF001  # joblib builds on it too
    """Unpickles a file whose every name is in `allowed` (`module:qualname`).

    The unpickler written in Python, as joblib's is: the one in C cannot be told to read arrays in
    between, nor to leave classes and functions unchanged.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001
    stack: list[Any]

    def __init__(self, file: BinaryIO, allowed: frozenset[str]) -> None:
        super().__init__(file)
        self.file = file
        self.allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed class or function; raise Untrusted for any other."""
        module = _MISNAMED.get(module, module)
        qualified = f"{module}:{name}"
        if qualified == JOBLIB_ARRAY:
            return ArrayPlaceholder
        if qualified not in self.allowed:
            raise Untrusted(f"{module}.{name}")
        return super().find_class(module, name)

    def load_build(self) -> None:
        """Set an object's state; of a class or a function none may be set."""
        target: Any = self.stack[-2] if len(self.stack) > 1 else None
        name = getattr(target, "__name__", None)  # classes, functions, ufuncs, modules have one
        if name is not None:
            raise Untrusted(f"{name} (its state)")
        _load_build(self)
        if isinstance(self.stack[-1], ArrayPlaceholder):
            self.stack[-1] = self.stack[-1].read(self)

    dispatch[pickle.BUILD[0]] = load_build


def load_restricted(file: BinaryIO, allowed: frozenset[str]) -> Any:
    """Return the object of a pickle or joblib file; raise Untrusted, or an error of pickle."""
    return RestrictedUnpickler(file, allowed).load()


def _read_exactly(file: BinaryIO, size: int) -> bytearray:
    """Read as many bytes, in pieces: a wrong size in the file must not reserve its memory."""
    if size < 0:
        raise pickle.UnpicklingError(f"array of {size} bytes")
    raw = bytearray()
    while len(raw) < size:
        piece = file.read(min(_READ_BYTES, size - len(raw)))
        if not piece:
            raise EOFError(f"array data ends after {len(raw)} of {size} bytes")
        raw += piece
    return raw


def parse_names(text: str) -> frozenset[str]:
    """Return the names of an allow-list: one `module:qualname` a line, `#` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)
