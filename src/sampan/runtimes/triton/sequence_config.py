"""`sequence_batching` of a configuration: slots, controls and states of sequences. Pure.

Triton, "Stateful Models": requests of a sequence carry its correlation id, reach one instance, and
are answered in their order. What would be refused by Triton is refused with the field's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.server.load_failure import LoadFailure

CORRID = "CONTROL_SEQUENCE_CORRID"
_IDLE = 1_000_000
"""Triton's default of max_sequence_idle_microseconds."""
_VALUES = {"int32_false_true": "INT32", "fp32_false_true": "FP32", "bool_false_true": "BOOL"}
_IDS = ("STRING", "INT32", "INT64", "UINT32", "UINT64")


@dataclass(frozen=True, slots=True)
class Control:
    """An input that tells a model of its sequence: its `kind`, and its values for no and yes."""

    name: str
    kind: str
    datatype: str
    values: tuple[Any, Any] = (0, 1)


@dataclass(frozen=True, slots=True)
class State:
    """A tensor that a model gives and gets back with the sequence's next request; zeros first."""

    input_name: str
    output_name: str
    datatype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SequenceBatching:
    """How sequences are taken: so many an instance, freed when they are `idle` seconds."""

    slots: int
    idle: float
    controls: tuple[Control, ...] = ()
    states: tuple[State, ...] = ()

    def names(self) -> set[str]:
        """Return the inputs that no client sends."""
        return {control.name for control in self.controls} | {s.input_name for s in self.states}


def make_sequence_batching(document: JsonObject, size: int, folder: str) -> SequenceBatching | None:
    """Return what a configuration says of sequences, None where it says nothing; LoadFailure."""
    found = document.get("sequence_batching")
    if found is None:
        return None
    if found.get("iterative_sequence"):
        raise _wrong(folder, "iterative_sequence is not served here; send a request a step")
    oldest = found.get("oldest")
    slots = max(1, size) if oldest is None else oldest.get("max_candidate_sequences", 0)
    if slots < 1:
        raise _wrong(folder, f"oldest.max_candidate_sequences is {slots}; give one or more")
    idle = found.get("max_sequence_idle_microseconds", 0) or _IDLE
    return SequenceBatching(
        slots,
        idle / 1e6,
        tuple(_controls(found.get("control_input") or (), folder)),
        tuple(_state(item, folder) for item in found.get("state") or ()),
    )


def make_warnings(document: JsonObject) -> Iterator[str]:
    """Yield a sentence for each field of sequences that is set and not honoured."""
    found = document.get("sequence_batching") or {}
    for strategy in ("direct", "oldest"):
        for name, value in (found.get(strategy) or {}).items():
            if value and name not in {"max_candidate_sequences", "preserve_ordering"}:
                yield (
                    f"sequence_batching.{strategy}.{name} is not honoured: requests of sequences "
                    "run one by one"
                )


def _controls(items: Any, folder: str) -> Iterator[Control]:
    for item in items:
        name = item.get("name", "")
        for control in item.get("control") or ():
            kind = control.get("kind", "CONTROL_SEQUENCE_START")
            if kind == CORRID:
                data_type = control.get("data_type", "TYPE_UINT64").removeprefix("TYPE_")
                if data_type not in _IDS:
                    raise _wrong(
                        folder,
                        f'control_input "{name}" has data_type TYPE_{data_type}; give one of '
                        f"{', '.join(f'TYPE_{one}' for one in _IDS)}",
                    )
                yield Control(name, kind, "BYTES" if data_type == "STRING" else data_type)
                continue
            given = [field for field in _VALUES if control.get(field)]
            if len(given) != 1 or len(control[given[0]]) != 2:
                raise _wrong(
                    folder,
                    f'control_input "{name}" needs two values, for no and yes, in one of '
                    f"{', '.join(_VALUES)}",
                )
            no, yes = control[given[0]]
            yield Control(name, kind, _VALUES[given[0]], (no, yes))


def _state(item: JsonObject, folder: str) -> State:
    name = item.get("input_name", "")
    dims = tuple(item.get("dims") or ())
    if any(size < 1 for size in dims):
        raise _wrong(
            folder, f'state "{name}" has dims {list(dims)}, which begins at no size; give sizes'
        )
    for initial in item.get("initial_state") or ():
        if initial.get("data_file"):
            raise _wrong(
                folder,
                f'state "{name}" begins with a file ("{initial["data_file"]}"), which is not read '
                "here; begin with zero_data",
            )
    data_type = item.get("data_type", "TYPE_INVALID").removeprefix("TYPE_")
    if data_type in {"INVALID", "STRING", "BF16"}:
        raise _wrong(folder, f'state "{name}" has data_type TYPE_{data_type}; give a number\'s')
    return State(name, item.get("output_name", ""), data_type, dims)


def _wrong(folder: str, what: str) -> LoadFailure:
    return LoadFailure(
        "ModelIncompatible", f'model "{folder}", config.pbtxt: sequence_batching: {what}'
    )
