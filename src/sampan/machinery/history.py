"""The newest changes of a store, in order, for watches and for lists of an earlier version.

Versions are consecutive: each change adds one. What was dropped is known by `floor`, the version
of the newest change that is no longer kept; everything after it is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.machinery.errors import Expired
from sampan.machinery.store import EventType, Key


@dataclass(frozen=True, slots=True)
class Change:
    """One write: what `key` held before and after, as JSON bytes (None: was not there).

    For a removal `data` is the last state, with the version of the removal.
    """

    version: int
    type: EventType
    key: Key
    data: bytes
    previous: bytes | None

    @property
    def current(self) -> bytes | None:
        """What is stored after the change."""
        return None if self.type is EventType.DELETED else self.data


class History:
    """A bounded run of changes ending at `version`."""

    def __init__(self, version: int, changes: Sequence[Change], limit: int) -> None:
        self._limit = max(limit, 1)
        self._changes = list(changes[-self._limit :])
        self.version = version

    @property
    def floor(self) -> int:
        """The version after which every change is kept."""
        return self.version - len(self._changes)

    def extend(self, changes: list[Change]) -> None:
        """Append changes, and drop the oldest once a tenth more than the limit is held."""
        self._changes += changes
        self.version = changes[-1].version
        if len(self._changes) > self._limit + self._limit // 10:
            del self._changes[: -self._limit]

    def after(self, version: int) -> Iterator[Change]:
        """Yield the changes after a version; raise Expired when some are gone or to come.

        Go on with the version of the last change seen: the run may grow between two calls.
        """
        if version < self.floor:
            raise Expired(
                f"too old resource version: {version} ({self.floor}); "
                "list again and watch from there"
            )
        if version > self.version:
            raise Expired(
                f"resource version {version} is newer than this store's {self.version}; list again"
            )
        return iter(self._changes[version - self.floor :])
