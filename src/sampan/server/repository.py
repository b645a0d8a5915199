"""The models of this process by name, ready or not, and why not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sampan.protocol.errors import ModelNotFound, ModelNotReady, ServingError
from sampan.server.batch_queue import BatchQueue
from sampan.server.model import InferenceVerb, Model
from sampan.server.pace import Pace
from sampan.server.steps import ALL_STEPS, OwnSteps, is_async

logger = logging.getLogger("sampan.server")


class ModelAway(ServingError):
    """A model that is registered and not in memory. Raised to have the request wait, not fail.

    `then` has the model loaded and calls back, whatever came of it: the same is asked again.
    """

    status = 503

    def __init__(self, name: str, then: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(f"Model with name {name} is not in memory; ask again.")
        self.then = then


@dataclass(slots=True)
class Entry:
    """A registered model."""

    model: Model
    asynchronous: bool
    """Whether predict runs on the loop, as a coroutine."""
    reason: str = ""
    """Why it is not ready, for people; empty while it loads and when it is ready."""
    unhealthy: str = ""
    """Why it says itself that it cannot answer now; empty where it can."""
    pace: Pace = field(default_factory=Pace)
    queue: BatchQueue | None = None
    """What gathers its requests; made by the data plane with the first that is batched."""
    explains_asynchronously: bool = False
    own: OwnSteps = ALL_STEPS

    @property
    def ready(self) -> bool:
        """Whether it answers now."""
        return self.model.ready and not self.unhealthy


class ModelRepository:
    """Registered models. `make` builds the model of a name in multi-model mode, else None."""

    def __init__(self, make: Callable[[str], Model] | None = None) -> None:
        self._entries: dict[str, Entry] = {}
        self._make = make

    def update(self, model: Model, name: str | None = None) -> Entry:
        """Register a model under its name or an alias."""
        if not model.name:
            raise ValueError("Failed to register model, model.name must be provided.")
        entry = Entry(
            model,
            is_async(model),
            explains_asynchronously=is_async(model, InferenceVerb.EXPLAIN),
            own=OwnSteps.of(model),
        )
        if model.row_wise and (entry.asynchronous or model.return_response_headers):
            logger.warning(
                'model "%s" promises row_wise and is not batched: its predict is a coroutine or '
                "sets response headers; make predict synchronous without response headers",
                name or model.name,
            )
        self._entries[name or model.name] = entry
        return entry

    def names(self) -> list[str]:
        """Return all registered names, ready or not, in the order of registration."""
        return list(self._entries)

    def find(self, name: str) -> Entry | None:
        """Return a registered model, None where there is none."""
        return self._entries.get(name)

    def get(self, name: str) -> Entry:
        """Return a registered model; raise ModelNotFound."""
        entry = self._entries.get(name)
        if entry is None:
            raise ModelNotFound(name)
        return entry

    def get_ready(self, name: str) -> Entry:
        """Return a model that answers now; raise ModelNotFound or ModelNotReady."""
        entry = self._entries.get(name)
        if entry is None:
            raise ModelNotFound(name)
        if not entry.model.ready or entry.unhealthy:
            raise ModelNotReady(name, entry.reason or entry.unhealthy or None)
        return entry

    def described(self, name: str) -> Entry:
        """Return a model that is to be described; raise ModelNotFound."""
        return self.get(name)

    @property
    def multi_model(self) -> bool:
        """Whether models come and go by request."""
        return self._make is not None

    def prepare(self, name: str) -> Model:
        """Return the model to load: the registered one, or in multi-model mode a new one."""
        entry = self._entries.get(name)
        if entry is not None:
            return entry.model
        if self._make is None:
            raise ModelNotReady(name)
        return self._make(name)

    def loaded(self, name: str, model: Model) -> None:
        """Register a model that has been loaded, or clear the reason of a registered one."""
        entry = self._entries.get(name)
        if entry is None or entry.model is not model:
            entry = self.update(model, name)
        entry.reason = ""

    def unload(self, name: str) -> None:
        """Stop and forget a model; raise ModelNotFound."""
        self.take(name).stop()

    def take(self, name: str) -> Model:
        """Forget a model and return it, not stopped; raise ModelNotFound."""
        entry = self.get(name)
        del self._entries[name]
        return entry.model

    def index(self, ready_only: bool = False) -> list[dict[str, Any]]:
        """Return name, state and reason of each model (the model repository extension)."""
        rows = [
            {
                "name": name,
                "state": "Ready" if entry.ready else "NotReady",
                "reason": entry.reason or entry.unhealthy,
            }
            for name, entry in self._entries.items()
        ]
        return [row for row in rows if row["state"] == "Ready"] if ready_only else rows

    def all_ready(self) -> bool:
        """Whether every registered model answers."""
        return all(entry.ready for entry in self._entries.values())
