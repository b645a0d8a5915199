"""How soon a thread of the daemon has its turn while the event loop is busy.

A write is put on disk by a thread, statement by statement, and for each it needs the interpreter.
While the loop works on what a thousand services ask, Python would have it wait 5 ms each time: a
write of 1 ms became one of 20. Its turn is short, and the loop goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.0005
"""A tenth of Python's default. Turns change only while a thread waits for one."""


@contextmanager
def short_turns() -> Iterator[None]:
    """Give threads their turns sooner; undone at the end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
