"""How many sync calls a service takes at once: `threads` of its configuration, one by default."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any


class Turns:
    """Lets `count` sync calls of a service run at a time. `open` is the loop's thread's alone."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.open = 0
        """Calls that have been begun or wait: while fewer than `count`, nobody has to wait."""
        self._turns = threading.Semaphore(count)

    @property
    def free(self) -> bool:
        """Whether a call would run at once: then it may run on the loop."""
        return self.open < self.count

    def run(self, function: Callable[[], Any]) -> Any:
        """Call on this thread, when it is its turn."""
        with self._turns:
            return function()

    def guard(self, to_thread: Callable[..., Any]) -> Callable[..., Any]:
        """Return BentoML's way to a thread such that its calls take turns with ours."""

        async def run(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
            self.open += 1
            try:
                return await to_thread(self.run, partial(function, *args, **named))
            finally:
                self.open -= 1

        return run
