"""Full garbage collections that keep nobody waiting: what outlived one is not looked at again.

A daemon of a thousand services holds a million objects that stay. A full collection looks at all
of them, for a tenth of a second in which nobody is answered, and writes make one each few seconds.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OLDEST = 2
"""The generation of a full collection."""
DEEP_SECONDS = 3600.0
"""Of what outlived a collection some may end in a circle later: this often all is looked at."""


@contextmanager
def short_collections(clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Set aside what is there, and what outlives each full collection; undone at the end."""
    looked_at = clock()

    def on_collection(phase: str, info: dict[str, int]) -> None:
        nonlocal looked_at
        if info["generation"] != OLDEST:
            return
        if phase == "stop":
            gc.freeze()
        elif clock() - looked_at >= DEEP_SECONDS:
            looked_at = clock()
            gc.unfreeze()

    gc.freeze()
    gc.callbacks.append(on_collection)
    try:
        yield
    finally:
        gc.callbacks.remove(on_collection)
        gc.unfreeze()
