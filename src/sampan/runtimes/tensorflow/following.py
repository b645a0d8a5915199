"""What changes while a server serves: versions in the models' folders, and the file that lists the
models.

(TensorFlow Serving's `--file_system_poll_wait_seconds`, `--model_config_file_poll_wait_seconds`.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sampan.runtimes.tensorflow.config import gather_config
from sampan.runtimes.tensorflow.store import TensorflowStore
from sampan.server.load_failure import describe_failure
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.runtimes.tensorflow")


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds between two looks at the folders, and at the configuration; 0: none after the start.

    The usual ones are TensorFlow Serving's.
    """

    versions: float = 1.0
    config: float = 0.0


class Follower:
    """Looks at the folders of a store's models, and at the file that lists them."""

    def __init__(self, store: TensorflowStore, waits: Waits, config: Path | None = None) -> None:
        self._store = store
        self._waits = waits
        self._config = config
        self._seen = _sign(config)
        self._told = ""

    async def run(self, workers: Workers) -> None:
        """Look until cancelled."""
        await asyncio.gather(
            self._repeat(self._waits.versions, self._follow_versions, workers),
            self._repeat(self._waits.config, self._follow_config, workers),
        )

    async def _repeat(
        self, seconds: float, look: Callable[[Workers], Awaitable[None]], workers: Workers
    ) -> None:
        while seconds > 0:
            await asyncio.sleep(seconds)
            try:
                await look(workers)
            except Exception as error:  # noqa: BLE001  # a folder that is gone may come back
                self._tell(describe_failure(error).message)
            else:
                self._told = ""

    def _tell(self, message: str) -> None:
        """Say what a look met; once, however often it meets it."""
        if message != self._told:
            logger.warning("what serves goes on: %s", message)
        self._told = message

    async def _follow_versions(self, workers: Workers) -> None:
        await self._store.follow(workers)

    async def _follow_config(self, workers: Workers) -> None:
        sign = await workers.run(lambda: _sign(self._config))
        path = self._config
        if path is None or sign is None or sign == self._seen:
            return
        self._seen = sign
        configs = await workers.run(partial(gather_config, path))
        code, words = await self._store.serve(configs, workers)
        if code:
            logger.warning('"%s" has changed: %s', path.name, words)
        else:
            logger.info('"%s" has changed and is served', path.name)


def _sign(path: Path | None) -> tuple[int, int] | None:
    """Return what changes with a file: its time and size; None where there is none."""
    if path is None or not path.exists():
        return None
    seen = path.stat()
    return seen.st_mtime_ns, seen.st_size
