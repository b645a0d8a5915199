"""Triton's model control mode "poll": the repository's folder is followed.

What is put into it is served, what is taken out is not, and what has changed is loaded anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sampan.protocol.errors import ServingError
from sampan.runtimes.file_signs import Sign
from sampan.runtimes.triton.store import TritonStore
from sampan.server.load_failure import describe_failure
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.runtimes.triton")

USUAL_SECONDS = 15
"""Triton's own --repository-poll-secs."""


class Poller:
    """Looks at a store's repository every so many seconds."""

    def __init__(self, store: TritonStore, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._seen = store.gather_signs()
        self._told = ""

    async def run(self, workers: Workers) -> None:
        """Look until cancelled. What does not load is told, and what serves goes on."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                signs = await workers.run(self._store.gather_signs)
            except Exception as error:  # noqa: BLE001  # a folder that is gone may come back
                self._tell(describe_failure(error).message)
                continue
            self._told = ""
            before, self._seen = self._seen, signs
            await self._follow(before, workers)

    def _tell(self, message: str) -> None:
        """Say what a look met; once, however often it meets it."""
        if message != self._told:
            logger.warning("what serves goes on: %s", message)
        self._told = message

    async def _follow(self, before: Mapping[str, Sign], workers: Workers) -> None:
        for name in before.keys() - self._seen.keys():
            logger.info('model "%s" is taken out', name)
            self._store.drop(name)
        for name in sorted(self._seen):
            if before.get(name) == self._seen[name]:
                continue
            try:
                await self._store.replace(name, None, workers)
            except ServingError as error:
                logger.warning("%s", error)
