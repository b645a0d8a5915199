"""What is decided, written as the replicas of Deployments; one that cannot be written is tried
again by itself, and keeps no other from being written.

Less is written only over what was seen: whoever decided and was held up meanwhile (a lease that ran
out, a process that stood still) takes nothing away that others have given since.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, Conflict, NotFound
from sampan.operator.connection import Unavailable
from sampan.operator.serverless import ServerlessCluster
from sampan.platforms.kubernetes.serverless_table import Served

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Writes under way: a thousand services that wake together need not wait for each other."""
RETRY_SECONDS = 0.5
LONGEST_SECONDS = 15.0
"""Until what could not be written is tried again: twice as long after each failure."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many replicas a workload is to have. `as_seen`: only if nobody has changed that since."""

    one: Served
    replicas: int
    as_seen: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the replicas of a workload could not be written, how often in a row, and when it is tried
    again.
    """

    message: str
    failures: int
    again: float


def make_trouble(before: Trouble | None, error: ApiError, now: float) -> Trouble:
    """Return the trouble after one more failure. Pure."""
    failures = before.failures + 1 if before else 1
    pause = min(RETRY_SECONDS * 2 ** (failures - 1), LONGEST_SECONDS)
    asked = error.retry_after if isinstance(error, Unavailable) else 0.0
    return Trouble(error.message, failures, now + max(pause, min(asked, LONGEST_SECONDS)))


class ScaleWriter:
    """Writes numbers of replicas. `announce` is told of each workload's first failure in a row."""

    def __init__(self, clock: Clock, announce: Callable[[Wanted, str], Awaitable[None]]) -> None:
        self._clock = clock
        self._announce = announce
        self._troubles: dict[str, Trouble] = {}
        self._done: dict[str, tuple[str, int]] = {}
        """What was written last, and over which version that was seen: until the watch tells of it,
        it is not written again."""
        self.written = 0
        self.failed = 0

    def trouble(self, key: str) -> str:
        """Return why the replicas of a workload cannot be written now; "": they can."""
        found = self._troubles.get(key)
        return found.message if found else ""

    def forget(self, key: str) -> None:
        """Forget a workload that is gone, or that has what it should."""
        self._troubles.pop(key, None)
        self._done.pop(key, None)

    async def write(
        self, cluster: ServerlessCluster, wanted: Sequence[Wanted], may: Callable[[], bool]
    ) -> float | None:
        """Write each, those first that somebody waits for, as long as one `may`.

        Return in how many seconds something is to be tried again; None: nothing is.
        """
        places = asyncio.Semaphore(AT_ONCE)

        async def write(each: Wanted) -> None:
            async with places:
                if may() and self._is_due(each):
                    await self._write(cluster, each)

        await asyncio.gather(*map(write, sorted(wanted, key=lambda w: w.one.replicas > 0)))
        due = [t.again for w in wanted if (t := self._troubles.get(w.one.key))]
        return max(min(due) - self._clock.now(), 0.0) if due else None

    def _is_due(self, each: Wanted) -> bool:
        trouble = self._troubles.get(each.one.key)
        if trouble and self._clock.now() < trouble.again:
            return False
        last = self._done.get(each.one.key)
        return not each.one.version or last != (each.one.version, each.replicas)

    async def _write(self, cluster: ServerlessCluster, each: Wanted) -> None:
        key, as_seen = each.one.key, each.as_seen or each.replicas < each.one.replicas
        try:
            await cluster.write_scale(each.one, each.replicas, as_seen=as_seen)
        except NotFound:
            self.forget(key)  # deleted meanwhile
        except Conflict:  # somebody has changed it: what that was is told soon, and decided upon
            again = self._clock.now() + RETRY_SECONDS
            self._troubles[key] = Trouble("", 0, again)
        except ApiError as error:
            await self._note(each, error)
        else:
            self._troubles.pop(key, None)
            self._done[key] = each.one.version, each.replicas
            self.written += 1

    async def _note(self, each: Wanted, error: ApiError) -> None:
        before = self._troubles.get(each.one.key)
        self._troubles[each.one.key] = make_trouble(before, error, self._clock.now())
        self.failed += 1
        if before is None or before.message != error.message:
            log.warning(
                '"%s" cannot be given %s replicas now: %s',
                *(each.one.key, each.replicas, error.message),
            )
            await self._announce(each, error.message)
