"""Models that judge their own health: `healthy()` is asked once a second, not at each request.

While one says no, raises or gives no answer, its requests get 503 with the reason, and neither it
nor the server is ready.
"""

from __future__ import annotations

import asyncio
import inspect
import logging

from sampan.server.model import Model
from sampan.server.repository import Entry, ModelRepository
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.server")

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""How long `healthy()` may take: longer than any look at a connection, shorter than most probes."""


class HealthWatch:
    """Asks the models of a repository that have a `healthy` of their own. On the loop's thread."""

    def __init__(self, repository: ModelRepository, workers: Workers) -> None:
        self._repository = repository
        self._workers = workers

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Ask each model that is loaded and has an opinion, all at once."""
        names = self._repository.names()
        found = [(name, self._repository.get(name)) for name in names]
        await asyncio.gather(
            *(self._look_at(name, entry) for name, entry in found if _has_opinion(entry.model))
        )

    async def _look_at(self, name: str, entry: Entry) -> None:
        reason = await self._ask(entry.model) if entry.model.ready else ""
        if reason and not entry.unhealthy:
            logger.warning('model "%s" is not healthy: %s', name, reason)
        elif entry.unhealthy and not reason:
            logger.info('model "%s" is healthy again', name)
        entry.unhealthy = reason

    async def _ask(self, model: Model) -> str:
        """Return why a model is not healthy; empty where it is."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if inspect.iscoroutinefunction(model.healthy):
                    healthy = await model.healthy()
                else:  # a plain function, which may wait for something
                    healthy = await self._workers.run(model.healthy)
        except TimeoutError:
            return f"healthy() gave no answer in {PATIENCE_SECONDS:.0f} s"
        except Exception as error:  # noqa: BLE001  # the user's code may raise anything
            return f"healthy() raised {type(error).__name__}: {error}"
        return "" if healthy else "healthy() says no"


def _has_opinion(model: Model) -> bool:
    return getattr(model.healthy, "__func__", None) is not Model.healthy
