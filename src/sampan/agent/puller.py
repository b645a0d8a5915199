"""The models of a multi-model server: fetched as a list says, loaded, unloaded and removed.

KServe, model puller: the list is a ConfigMap mounted as a folder, and changes by one rename of
`..data`; what is done about one model is done one after another, models go side by side.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from sampan.agent.model_list import (
    FILE,
    MARK,
    Models,
    ModelSpec,
    diff,
    parse_models,
    parse_spec,
)
from sampan.storage.base import StorageError
from sampan.storage.placing import WORK

logger = logging.getLogger("sampan.agent")

LOOK_SECONDS = 1.0
"""How soon a changed list is seen: the kubelet itself takes up to a minute to bring it."""
_FIRST_SECONDS, _MOST_SECONDS = 1.0, 60.0
_UNLOAD_PAUSES = (0.2, 1.0, 0.0)

Fetch = Callable[[str, Path], Awaitable[None]]
"""Puts the model of a URI into a folder; raises StorageError, OSError, ValueError."""

Call = Callable[[str], Awaitable[tuple[int, str]]]
"""POSTs to a path of the model server; returns status and body, 502 where nobody answers."""


class Puller:
    """Keeps one folder of models as a list says. `caught_up` is set once the first list is done."""

    def __init__(self, config: Path, models: Path, fetch: Fetch, call: Call) -> None:
        self._list = config / FILE
        self._models = models
        self._fetch = fetch
        self._call = call
        self._known: dict[str, ModelSpec] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tried: set[str] = set()
        self._seen: tuple[int, int, int] | None = None
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow the list until cancelled."""
        self._known = await asyncio.to_thread(recover, self._models)
        recovered = dict(self._known)
        try:
            while True:
                wanted = await asyncio.to_thread(self._look)
                if wanted is not None:
                    self._follow(wanted, {n: s for n, s in recovered.items() if wanted.get(n) == s})
                    recovered = {}
                if self._seen is not None and self._tried >= self._known.keys():
                    self.caught_up.set()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _look(self) -> Models | None:
        """Return the list where it has changed since the last look."""
        try:
            found = self._list.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return None
            text = self._list.read_text(errors="replace")  # what is no text is no JSON either
        except OSError as error:
            if self._seen is not None or not isinstance(error, FileNotFoundError):
                logger.warning('the list "%s" cannot be read: %s', self._list, error.strerror)
            return None
        self._seen = seen
        try:
            return parse_models(text)
        except ValueError as error:
            logger.error("%s; the models stay as they are", error)  # noqa: TRY400  # not our mistake
            return None

    def _follow(self, wanted: Models, here: Models) -> None:
        """Start what makes the folder as it is wanted; `here` only needs to be loaded."""
        gone, new = diff(self._known, wanted)
        self._known = dict(wanted)
        for name in dict.fromkeys((*gone, *new, *here)):
            before = self._tasks.pop(name, None)
            spec = wanted.get(name)
            self._tried.discard(name)
            work = self._change(name, spec, before, clear=name in gone, fetched=name in here)
            self._tasks[name] = asyncio.create_task(work)
            self._tasks[name].add_done_callback(_tell_failure)

    async def _change(
        self,
        name: str,
        spec: ModelSpec | None,
        before: asyncio.Task[None] | None,
        *,
        clear: bool,
        fetched: bool,
    ) -> None:
        """Take a model away, or bring it; whatever was under way about it is ended first."""
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        if clear:
            await self._remove(name)
        if spec is None:
            self._tried.add(name)
            return
        pause = _FIRST_SECONDS
        while not await self._bring(name, spec, fetched=fetched):
            self._tried.add(name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_SECONDS)
        self._tried.add(name)

    async def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, self._models / name)
        for pause in _UNLOAD_PAUSES:
            status, text = await self._call(f"/v2/repository/models/{name}/unload")
            if status != 502:  # an idle connection may break as it is used, a server may restart
                break
            await asyncio.sleep(pause)
        if status not in {200, 404, 502}:  # unknown to the server, or no server: it is gone
            logger.warning('model "%s" was not unloaded: %s %s', name, status, text)
        else:
            logger.info('model "%s" is removed', name)

    async def _bring(self, name: str, spec: ModelSpec, *, fetched: bool) -> bool:
        """Fetch and load a model; False where another try may help."""
        folder = self._models / name
        if not (fetched or (folder / spec.mark).exists()):
            try:
                await asyncio.to_thread(_clear, folder)
                await self._fetch(spec.storage_uri, folder)
                await asyncio.to_thread((folder / spec.mark).write_text, spec.render())
            except (StorageError, OSError, ValueError) as error:
                logger.error('model "%s" was not fetched: %s', name, error)  # noqa: TRY400  # told whole
                return isinstance(error, StorageError) and not error.retryable
        status, text = await self._call(f"/v2/repository/models/{name}/load")
        if status == 200:
            logger.info('model "%s" is loaded', name)
            return True
        logger.warning('model "%s" was not loaded: %s %s', name, status, text)
        return status not in {502, 503}  # the server is not there yet; else it has said why


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Tell of what nobody expected: the other models go on."""
    if not task.cancelled() and task.exception() is not None:
        logger.error("a model stays as it is", exc_info=task.exception())


def recover(models: Path) -> dict[str, ModelSpec]:
    """Return the models that are whole in a folder, by their marks."""
    found: dict[str, ModelSpec] = {}
    for path in sorted(models.glob(f"*/{MARK}*")):
        try:
            spec = parse_spec(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
        if spec is not None and spec.mark == path.name:
            found[path.parent.name] = spec
    return found


def _clear(folder: Path) -> None:
    """Take away what is no whole model, but for what has been downloaded of one."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name == WORK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
