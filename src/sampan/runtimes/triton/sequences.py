"""The sequences that a model is in the middle of: each has a slot of an instance until it ends.

A sequence that would need a slot where none is free is refused, and may come again: no thread
waits for others to end theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from sampan.protocol.datatypes import to_np_dtype
from sampan.protocol.errors import InvalidInput, ServingError
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.triton.sequence_config import CORRID, Control, SequenceBatching

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]


class NoSlot(ServingError):
    """More sequences than there are slots for."""

    status = 503
    retry_after = 1


@dataclass(frozen=True, slots=True)
class Step:
    """A request of a sequence: whose it is, and whether it begins or ends it."""

    correlation_id: int | str
    start: bool
    end: bool

    @property
    def flags(self) -> int:
        """Return Triton's flags of a request: 1 starts, 2 ends."""
        return int(self.start) | int(self.end) << 1


@dataclass(slots=True)
class _Sequence:
    instance: int
    turn: threading.Lock = field(default_factory=threading.Lock)
    running: int = 0
    seen: float = 0.0
    states: dict[str, Any] = field(default_factory=dict)


class Turn:
    """One request's turn: the instance that it reaches, and what the model gets beside it."""

    def __init__(self, step: Step, sequence: _Sequence, batching: SequenceBatching) -> None:
        self.step = step
        self.instance = sequence.instance
        self._sequence = sequence
        self._batching = batching

    def make_inputs(self, *, batched: bool) -> Arrays:
        """Return the controls and the states, with a batch of one where the model has batches."""
        import numpy as np

        made = {
            control.name: _make_control(control, self.step, batched=batched)
            for control in self._batching.controls
        }
        for state in self._batching.states:
            kept = self._sequence.states.get(state.input_name)
            shape = (1, *state.dims) if batched else state.dims
            made[state.input_name] = (
                np.zeros(shape, to_np_dtype(state.datatype)) if kept is None else kept
            )
        return made

    def output_names(self) -> list[str]:
        """Return the outputs that are states."""
        return [state.output_name for state in self._batching.states]

    def keep(self, outputs: Mapping[str, Any]) -> None:
        """Keep the states for the sequence's next request."""
        for state in self._batching.states:
            self._sequence.states[state.input_name] = outputs[state.output_name]


def _make_control(control: Control, step: Step, *, batched: bool) -> np.ndarray[Any, Any]:
    import numpy as np

    value: Any
    if control.kind == CORRID:
        value = _as_id(step.correlation_id, control)
    else:
        yes = {
            "CONTROL_SEQUENCE_START": step.start,
            "CONTROL_SEQUENCE_END": step.end,
        }.get(control.kind, True)
        value = control.values[yes]
    array = np.empty((1, 1) if batched else (1,), to_np_dtype(control.datatype))
    array[...] = value
    return array


def _as_id(correlation_id: int | str, control: Control) -> Any:
    if control.datatype == "BYTES":
        return str(correlation_id).encode()
    if isinstance(correlation_id, str):
        raise InvalidInput(
            f'sequence_id is "{correlation_id}", and input "{control.name}" takes '
            f"{control.datatype}; send a number"
        )
    import numpy as np

    limits = np.iinfo(to_np_dtype(control.datatype))
    if not limits.min <= correlation_id <= limits.max:
        raise InvalidInput(
            f'sequence_id is {correlation_id}, which input "{control.name}" ({control.datatype}) '
            "cannot hold; send a smaller one"
        )
    return correlation_id


class Sequences:
    """The sequences of one version. Any thread may ask."""

    def __init__(self, name: str, batching: SequenceBatching, instances: int) -> None:
        self._name = name
        self._batching = batching
        self._instances = instances
        self._lock = threading.Lock()
        self._found: dict[int | str, _Sequence] = {}

    @contextmanager
    def enter(self, step: Step) -> Iterator[Turn]:
        """Give a request its turn; the sequence ends with the request that says so.

        InvalidInput for one that never began, NoSlot for one too many.
        """
        sequence = self._take(step)
        try:
            with sequence.turn:
                yield Turn(step, sequence, self._batching)
        finally:
            with self._lock:
                sequence.running -= 1
                sequence.seen = monotonic()
                if step.end and self._found.get(step.correlation_id) is sequence:
                    del self._found[step.correlation_id]

    def _take(self, step: Step) -> _Sequence:
        with self._lock:
            self._free_idle()
            sequence = self._found.get(step.correlation_id)
            if sequence is None and not step.start:
                raise InvalidInput(
                    f"inference request for sequence {step.correlation_id} to model "
                    f"'{self._name}' must specify the START flag on the first request of the "
                    "sequence"
                )
            if sequence is None:
                sequence = _Sequence(self._free_instance())
                self._found[step.correlation_id] = sequence
            elif step.start:
                sequence.states = {}
            sequence.running += 1
            return sequence

    def _free_idle(self) -> None:
        last = monotonic() - self._batching.idle
        for key, sequence in list(self._found.items()):
            if not sequence.running and sequence.seen < last:
                del self._found[key]

    def _free_instance(self) -> int:
        """Return the instance with the fewest sequences."""
        taken = [0] * self._instances
        for sequence in self._found.values():
            taken[sequence.instance] += 1
        least = taken.index(min(taken))
        if taken[least] >= self._batching.slots:
            raise NoSlot(
                f'model "{self._name}" is in the middle of {len(self._found)} sequences, which is '
                "all that it has slots for; end one, or raise max_batch_size, "
                "max_candidate_sequences or the count of instance_group"
            )
        return least


def read_step(payload: Any, name: str) -> Step:
    """Return what a request says of its sequence (V2's parameters); InvalidInput. Pure."""
    given = (payload.parameters or {}) if isinstance(payload, InferRequest) else {}
    correlation_id = given.get("sequence_id", 0)
    if isinstance(correlation_id, bool) or not isinstance(correlation_id, (int, str)):
        raise InvalidInput(f"sequence_id is {correlation_id!r}; send a number or text")
    if not correlation_id:
        raise InvalidInput(
            f"inference request to model '{name}' must specify a non-zero or non-empty "
            "correlation ID"
        )
    return Step(correlation_id, _flag(given, "sequence_start"), _flag(given, "sequence_end"))


def _flag(given: Mapping[str, Any], key: str) -> bool:
    flag = given.get(key, False)
    if not isinstance(flag, bool):
        raise InvalidInput(f"{key} is {flag!r}; send true or false")
    return flag
