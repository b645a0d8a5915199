"""`sampan serve --reload`: an edited model file is served from the next request on.

The new model is made and loaded on a worker thread while the old one goes on answering, and takes
its place in one step. What does not load is told, and the old one stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sampan.app.targets import Target, make_model, module_files
from sampan.server.load_failure import describe_failure
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.serve")

POLL_SECONDS = 0.25  # a dozen `stat` calls each: far below a thousandth of a core
STOP_SECONDS = 30.0
"""How long requests that began on an old version have before it is stopped: the grace period of
KServe's server."""

State: TypeAlias = dict[Path, tuple[int, int, int]]
"""Time (ns), size (bytes) and inode of files."""


@dataclass(frozen=True, slots=True)
class Look:
    """A target's files as they were before it was loaded, and when that was (ns since 1970)."""

    state: State
    at: int


class Reloader:
    """Watches the files of targets and puts new models in the place of old ones.

    `looks`: each target's files as they were before they were loaded.
    """

    def __init__(
        self, repository: ModelRepository, workers: Workers, looks: Mapping[Target, Look]
    ) -> None:
        self._targets = tuple(looks)
        self._repository = repository
        self._workers = workers
        self._seen = {target: select_loaded(target, look) for target, look in looks.items()}

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for target in self._targets:
                state = observe_files(target)
                if state != self._seen[target]:
                    self._seen[target] = state
                    await self._reload(target)

    async def _reload(self, target: Target) -> None:
        if self._repository.find(target.name) is None:
            logger.info('model "%s" was unloaded: its edits are left alone', target.name)
            return
        look = Look(self._seen[target], time.time_ns())
        try:
            model = await self._workers.run(_maker(target))
        except Exception as error:  # noqa: BLE001  # the user's code may raise anything
            logger.error(  # noqa: TRY400  # the message names file and line; a stack adds nothing
                'model "%s" goes on with its old version: %s',
                target.name,
                describe_failure(error).message,
            )
            return
        self._replace(target, model)
        self._seen[target] = select_loaded(target, look)
        logger.info('model "%s" is reloaded from %s', target.name, target.path.name)

    def _replace(self, target: Target, model: Model) -> None:
        old = self._repository.find(target.name)
        if old is None:  # unloaded while its new version was loaded
            _stop(model)
            return
        self._repository.update(model, target.name)
        asyncio.get_running_loop().call_later(STOP_SECONDS, _stop, old.model)


def observe_target(target: Target) -> Look:
    """Look at a target's files before it is loaded, so that an edit meanwhile counts as one."""
    at = time.time_ns()
    return Look(observe_files(target), at)


def select_loaded(target: Target, look: Look) -> State:
    """Return the state that a loaded target has taken in.

    What was there before counts as it was then. Modules that came with loading count as they are,
    unless they were written since it began: then the load may have missed the edit.
    """
    found = observe_files(target).items()
    return {path: state for path, state in found if state[0] < look.at} | look.state


def observe_files(target: Target) -> State:
    """Return time, size and inode of the target's file and of its folder's loaded modules."""
    state: State = {}
    for path in {target.path, *module_files(target.path.parent).values()}:
        try:
            stat = path.stat()
        except OSError:  # an editor is replacing it: the next look finds it
            continue
        state[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return state


def _maker(target: Target) -> Callable[[], Model]:
    def make() -> Model:
        model = make_model(target)
        if not model.ready:
            model.load()
        return model

    return make


def _stop(model: Model) -> None:
    try:
        model.stop()
    except Exception:
        logger.exception('the old version of model "%s" does not stop cleanly', model.name)
