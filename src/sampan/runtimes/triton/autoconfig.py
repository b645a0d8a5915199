"""What a configuration leaves out, filled in from the model itself, and checked against it. Pure.

Triton's rules ("Auto-Generated Model Configuration"): a model whose tensors all have an open first
size takes batches of up to `--default-max-batch-size`, joined.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.machinery.registry import JsonObject
from sampan.runtimes.tensor_specs import ANY, Specs, TensorSpec
from sampan.runtimes.triton.config import CONFIG_FILE, ModelConfig
from sampan.server.load_failure import LoadFailure

DEFAULT_MAX_BATCH_SIZE = 4
"""Triton's default of --default-max-batch-size."""


def complete(document: JsonObject, inputs: Specs, outputs: Specs, batch_size: int) -> JsonObject:
    """Return the document with tensors and batching filled in; what is written stays."""
    tensors = (*inputs, *outputs)
    open_first = all(s.shape and len(s.shape) > 1 and s.shape[0] == ANY for s in tensors)
    made = dict(document)
    if "max_batch_size" not in made and not (made.get("input") or made.get("output")):
        made["max_batch_size"] = batch_size if open_first else 0
        if open_first and batch_size > 1:
            made.setdefault("dynamic_batching", {})
    skip = 1 if made.get("max_batch_size", 0) else 0
    if not made.get("input"):
        made["input"] = [_tensor(spec, skip) for spec in inputs]
    if not made.get("output"):
        made["output"] = [_tensor(spec, skip) for spec in outputs]
    return made


def _tensor(spec: TensorSpec, skip: int) -> JsonObject:
    data_type = "STRING" if spec.datatype == "BYTES" else spec.datatype
    made = {"name": spec.name, "data_type": f"TYPE_{data_type}"}
    dims = list((ANY,) if spec.shape is None else spec.shape)[skip:]
    if dims:
        return {**made, "dims": dims}
    return {**made, "dims": [1], "reshape": {"shape": []}}  # dims are never empty


def validate(config: ModelConfig, inputs: Specs, outputs: Specs) -> None:
    """Raise LoadFailure unless the configured tensors are those of the model."""
    for what, wanted, there in (
        ("input", config.inputs, inputs),
        ("output", config.outputs, outputs),
    ):
        known = {spec.name: spec for spec in there}
        for spec in wanted:
            found = known.get(spec.name)
            if found is None:
                names = ", ".join(f'"{name}"' for name in known)
                raise _wrong(config, f'{what} "{spec.name}" is not in the model, which has {names}')
            if found.datatype != spec.datatype:
                raise _wrong(
                    config,
                    f'{what} "{spec.name}" has data_type {spec.datatype}, and the model '
                    f"{found.datatype}; give that",
                )
            reshaped = spec.name in config.reshapes
            if not reshaped and not _agrees(spec.shape, found.shape):
                raise _wrong(
                    config,
                    f'{what} "{spec.name}" has shape {list(spec.shape or ())}, and the model '
                    f"{list(found.shape or ())}; give dims that agree (the batch is not in dims)",
                )
    made = config.sequences.names() if config.sequences else set()
    missing = {s.name for s in inputs if not s.optional} - {s.name for s in config.inputs} - made
    if missing:
        raise _wrong(config, f'input "{min(missing)}" of the model is missing; add it')


def _agrees(one: Sequence[int] | None, other: Sequence[int] | None) -> bool:
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(
        ANY in (a, b) or a == b for a, b in zip(one, other, strict=True)
    )


def _wrong(config: ModelConfig, what: str) -> LoadFailure:
    return LoadFailure("ModelIncompatible", f'model "{config.name}", {CONFIG_FILE}: {what}')
