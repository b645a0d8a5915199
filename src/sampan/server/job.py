"""One inference on its way: what a transport asked, and what has come of it so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from sampan.server.model import Headers, InferenceVerb
from sampan.server.steps import Ran

if TYPE_CHECKING:
    from sampan.server.metrics import ModelMetrics

Done: TypeAlias = Callable[[Any], None]
"""Gets what `Inference.encode` returned, or an exception."""


def _stays() -> bool:
    """Stand for a transport that cannot tell whether its client has left."""
    return False


@dataclass(slots=True)
class Inference:
    """One inference as a transport hands it over. `decode` and `encode` may run on a thread.

    `gone` tells whether the client has left; it is asked of what had to wait.
    """

    model_name: str
    headers: Headers
    size: int
    decode: Callable[[], Any]
    encode: Callable[[Any, Headers], Any]
    verb: InferenceVerb = InferenceVerb.PREDICT
    gone: Callable[[], bool] = _stays
    version: str = ""
    """The model's version that is asked for; empty: whatever is served."""
    ran: Ran | None = None
    """What its job measures: there once the data plane has taken it in."""


class Job:
    """An inference with its caller. `payload` holds once decoded, `outcome` once settled.

    `counts` is where the data plane that takes it in counts it.
    """

    __slots__ = (
        "begun",
        "counts",
        "decoded",
        "done",
        "inference",
        "outcome",
        "payload",
        "ran",
        "settled",
    )

    counts: ModelMetrics

    def __init__(self, inference: Inference, done: Done) -> None:
        self.inference = inference
        self.done = done
        self.ran = inference.ran = Ran()
        self.payload: Any = None
        self.decoded = False
        self.outcome: Any = None
        self.settled = False
        self.begun = perf_counter()

    def seconds(self) -> float:
        """Return the time since it was taken in."""
        return perf_counter() - self.begun
