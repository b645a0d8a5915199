"""How large a run is, and what it is aimed at.

`SAMPAN_FUZZ_INPUTS` says how many inputs a run makes (2,000 unless said), `SAMPAN_FUZZ_SEED` from
which seed (0 unless said, so that an everyday run is the same each time). `make fuzz` asks for
100,000 from a seed of its own, which it prints.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from tests.fuzz.fuzz_peer import still_right

INPUTS = int(os.environ.get("SAMPAN_FUZZ_INPUTS", "2000"))
SEED = int(os.environ.get("SAMPAN_FUZZ_SEED", "0"))
WARM_UP = 0.2
"""The share of a run after which memory is measured first."""
GROWTH_BYTES = 32 * 1024 * 1024
"""What the server may grow by after that, however many inputs come."""

FUZZ = settings(
    deadline=None,
    database=None,
    derandomize=SEED == 0,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""Hypothesis's settings of a run; give `max_examples` with `settings(FUZZ, max_examples=...)`."""


@dataclass(frozen=True)
class Target:
    """A server under fire: its port, which speaks HTTP/1.1, HTTP/2 and gRPC, and its process."""

    port: int
    pid: int

    def memory(self) -> int:
        """Return the resident bytes of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def steady(target: Target, count: int) -> Iterator[Iterator[int]]:
    """Give the numbers of a run; at its end the server answers right and has not grown."""
    first: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(count):
            if number == int(count * WARM_UP):
                first.append(target.memory())
            yield number

    yield numbers()
    assert still_right(target.port)
    assert target.memory() - first[0] < GROWTH_BYTES, "memory grows with malformed inputs"
