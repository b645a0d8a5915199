"""What a fetch of many files gives from the cache: an entry, and a word when it may be old."""

from __future__ import annotations

from datetime import UTC, datetime

from sampan.storage.base import Fetched, StorageError
from sampan.storage.cache import Entry

ATTEMPTS_WITH_COPY = 2
"""With a copy at hand a source gets one second chance, not the patience of a first download."""


def make_fetched(entry: Entry, note: str = "", *, cached: bool = True) -> Fetched:
    """Return the result that an entry is. Patterns were applied where its files came from."""
    return Fetched(entry.path, entry.facts.size, 0.0, cached=cached, note=note, chosen=True)


def make_stale(entry: Entry, error: StorageError) -> str:
    """Return the note for a copy that is served because its source cannot be reached. Pure."""
    fetched = datetime.fromtimestamp(entry.facts.fetched_at, UTC)
    return f"the copy of {fetched:%Y-%m-%dT%H:%M:%SZ} is served, because there is {error.message}"
