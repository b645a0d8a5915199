"""One version of a model as it is served: loaded, tried and warmed up."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

from sampan.runtimes.row_trial import is_row_wise
from sampan.runtimes.tensor_specs import make_zeros
from sampan.runtimes.tensorflow.keras_file import exported
from sampan.runtimes.tensorflow.layout import Found
from sampan.runtimes.tensorflow.saved_model import BoundSignature, Engine, SavedModel
from sampan.runtimes.tensorflow.warmup import RECORDS, replay
from sampan.server.batching import BatchLimits
from sampan.server.load_failure import LoadFailure

logger = logging.getLogger("sampan.runtimes.tensorflow")

_WARM_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are loaded and gathered. `batching` is set where batches are asked for.

    `warm_rounds`: how often recorded requests are asked before a version serves, 0: not at all.
    """

    engine: Engine = Engine()
    batching: BatchLimits | None = None
    warm_rounds: int = 1


class State(NamedTuple):
    """A version's state: a name of ModelVersionStatus, and why it does not serve."""

    name: str
    failure: LoadFailure | None = None


@dataclass(slots=True)
class Version:
    """A loaded version. `row_wise`: the signatures whose rows do not meet."""

    model: SavedModel
    row_wise: frozenset[str] = field(default_factory=frozenset)


def open_version(found: Found, settings: Settings) -> Version:
    """Load a version and warm it up; LoadFailure tells what is wrong.

    Recorded requests come first, as in TensorFlow Serving ("SavedModel Warmup"): a version that
    cannot answer them does not serve.
    """
    engine = settings.engine
    ready = exported(found.path, trust=engine.trust) if found.is_keras else nullcontext(found.path)
    with ready as folder:
        model = SavedModel(folder, engine)
        records = folder / RECORDS
        try:
            if settings.warm_rounds and records.is_file():
                replay(model, records, settings.warm_rounds)
            else:
                _run_zeros(model)
        except LoadFailure:
            model.close()
            raise
    return Version(model, _select_row_wise(model, asked=settings.batching is not None))


def _run_zeros(model: SavedModel) -> None:
    """Run zeros through the signature that is asked most; a model without one starts cold."""
    try:
        signature = model.find("")
        names = [spec.name for spec in signature.outputs]
        for _ in range(_WARM_ROUNDS):
            model.run(signature, make_zeros(signature.inputs), names)
    except Exception as error:  # noqa: BLE001  # the first request then does what this would have
        logger.info("a version starts cold: %s: %s", type(error).__name__, error)


def _select_row_wise(model: SavedModel, *, asked: bool) -> frozenset[str]:
    """Return the signatures that are batched: tried, or on the operator's word."""
    bound = {
        name: BoundSignature(model, signature)
        for name, signature in model.signatures.items()
        if not signature.problem
    }
    return frozenset(
        name for name, one in bound.items() if one.open_axis and (asked or is_row_wise(one))
    )
