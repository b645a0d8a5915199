"""What stays in memory: least recently used goes first, weighed in bytes. Pure; `now` is given.

A model that nobody has asked for yet counts as used an hour ago (ModelMesh), so that it is the
first to make room.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

AGE_ON_ADD = 3600.0
"""How long ago a model counts as used that nobody has asked for yet (LASTUSED_AGE_ON_ADD)."""


class NoRoom(Exception):
    """A model that has no place in memory; the message says why, and what would make one."""


@dataclass(slots=True)
class _Place:
    weight: int
    last_used: float


class ModelCache:
    """The models in memory, loading ones among them. `capacity` is bytes; 0 holds nothing."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._places: dict[str, _Place] = {}

    @property
    def used(self) -> int:
        """The bytes of all that is in memory."""
        return sum(place.weight for place in self._places.values())

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._places

    def __len__(self) -> int:
        return len(self._places)

    def touch(self, model_id: str, now: float) -> None:
        """Note that a model is asked for; one that is not in memory is not noted."""
        place = self._places.get(model_id)
        if place is not None:
            place.last_used = max(place.last_used, now)

    def age(self, model_id: str, last_used: float) -> None:
        """Set when a model counts as last used."""
        place = self._places.get(model_id)
        if place is not None:
            place.last_used = last_used

    def oldest(self) -> float:
        """Return when the least recently used model was last used; 0 where there is none."""
        return min((place.last_used for place in self._places.values()), default=0.0)

    def ages(self) -> Mapping[str, float]:
        """Return when each model was last used."""
        return {name: place.last_used for name, place in self._places.items()}

    def admit(
        self, model_id: str, weight: int, last_used: float, *, kept: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Take a model in and return those that had to go, the longest unused first.

        `kept` may not go now: they are being loaded. Raises NoRoom and changes nothing where the
        model does not fit at all, or only in the place of models that were used since it was.
        """
        if weight > self.capacity:
            raise NoRoom(
                f"it counts for {weight} bytes, and the runtime holds {self.capacity} at once; "
                "raise the memory request of its container"
            )
        gone: list[str] = []
        free = self.capacity - self.used
        for name in self._by_age(kept):
            if free >= weight:
                break
            if self._places[name].last_used >= last_used:
                break
            gone.append(name)
            free += self._places[name].weight
        if free < weight:
            raise NoRoom("every model in memory was used more recently, or is being loaded")
        for name in gone:
            del self._places[name]
        self._places[model_id] = _Place(weight, last_used)
        return tuple(gone)

    def shrink(self, capacity: int, *, kept: Collection[str] = ()) -> tuple[str, ...]:
        """Set the capacity and return the models that had to go."""
        self.capacity = capacity
        gone: list[str] = []
        for name in self._by_age(kept):
            if self.used <= capacity:
                break
            del self._places[name]
            gone.append(name)
        return tuple(gone)

    def drop(self, model_id: str) -> None:
        """Forget a model: it is unloaded, or did not load."""
        self._places.pop(model_id, None)

    def _by_age(self, kept: Collection[str]) -> Iterator[str]:
        order = sorted(self._places, key=lambda name: (self._places[name].last_used, name))
        return (name for name in order if name not in kept)
