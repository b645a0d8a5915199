"""`model_warmup` of a configuration: requests that a model runs before it is ready.

Inputs are zeros, random numbers (by a fixed seed: a start is like the last), or a file of the
folder `warmup` of the model. (Triton, "Model Warmup".)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sampan.machinery.registry import JsonObject
from sampan.protocol.datatypes import to_np_dtype
from sampan.server.load_failure import LoadFailure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def make_requests(document: JsonObject, folder: Path) -> Iterator[dict[str, Array]]:
    """Yield the inputs of each request, as often as its count says; LoadFailure names a wrong
    one.
    """
    for sample in document.get("model_warmup") or ():
        name = sample.get("name", "")
        inputs = {
            tensor: _make_input(f'"{tensor}" of model_warmup "{name}"', item, sample, folder)
            for tensor, item in (sample.get("inputs") or {}).items()
        }
        for _ in range(sample.get("count", 0) or 1):
            yield inputs


def _make_input(place: str, item: JsonObject, sample: JsonObject, folder: Path) -> Array:
    import numpy as np

    data_type = item.get("data_type", "TYPE_INVALID").removeprefix("TYPE_")
    if data_type in {"INVALID", "BF16"}:
        raise _wrong(folder, f"{place} has data_type TYPE_{data_type}; give another")
    dtype: Any = to_np_dtype("BYTES" if data_type == "STRING" else data_type)
    size = sample.get("batch_size", 0)
    shape = (*((size,) if size else ()), *(item.get("dims") or ()))
    if any(length < 1 for length in shape):
        raise _wrong(folder, f"{place} has dims {list(shape)}; give sizes from 1")
    if item.get("input_data_file"):
        return _read(place, folder, item["input_data_file"], shape, dtype)
    if data_type == "STRING":
        return np.full(shape, b"", dtype)
    if item.get("random_data"):
        drawn = np.random.default_rng(0).random(shape)
        return (drawn if dtype.kind == "f" else drawn * 2).astype(dtype)
    return np.zeros(shape, dtype)


def _read(place: str, folder: Path, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return the tensor of a file: raw numbers, or V2's form of bytes."""
    import numpy as np

    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise LoadFailure(
            "ModelUntrusted", f'{place}: "{name}" leaves the folder "warmup"; name a file in it'
        )
    file = folder / "warmup" / path
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        raise _wrong(folder, f'{place}: there is no file "warmup/{name}"; put it there')
    content = file.read_bytes()
    if dtype == np.dtype(object):
        from sampan.protocol.bytes_tensor import deserialize_bytes_tensor

        flat = np.array(deserialize_bytes_tensor(content), dtype=object)
    else:
        flat = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
    wanted = int(np.prod(shape))
    if flat.size < wanted:
        raise _wrong(folder, f'{place}: "{name}" holds {flat.size} elements of {wanted}')
    return flat[:wanted].reshape(shape)


def _wrong(folder: Path, what: str) -> LoadFailure:
    return LoadFailure("ModelIncompatible", f'model "{folder.name}", config.pbtxt: {what}')
