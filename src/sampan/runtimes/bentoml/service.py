"""A Bento's service in this process: imported, made, started and ended as BentoML does it.

The application that BentoML makes of a service stands behind everything; what needs none of it is
answered beside it (`plain.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sampan.runtimes.bentoml.turns import Turns

_DEFAULT_TIMEOUT = 60.0


class Service:
    """One service. Its life is a task of the server's loop; its class is made on a thread."""

    def __init__(self, declared: Any) -> None:
        from _bentoml_impl.server.app import (  # type: ignore[import-not-found]  # not a dependency
            ServiceAppFactory,
        )

        declared.inject_config()
        self.declared = declared
        self.name = str(declared.name)
        self.prefix = (declared.path_prefix or "").rstrip("/")
        """Before every route of the service."""
        self.factory = ServiceAppFactory(declared, is_main=True)
        self.app: Any = self.factory()
        server = f"BentoML Service/{self.name}".encode("latin-1", "replace")
        self.headers = ((b"server", server),)
        """What every answer of an API carries."""
        self.turns = Turns(int(declared.config.get("threads", 1)))
        self.timeout = float(self.factory.timeout or _DEFAULT_TIMEOUT)
        self.loop: asyncio.AbstractEventLoop | None = None
        """The server's loop, known from its start on."""
        self._folder = Path(tempfile.mkdtemp(prefix="sampan-bento-"))  # mode 0700
        self._ended = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._inner = self.factory._to_thread  # noqa: SLF001  # the one way to a thread that it has
        self.factory._to_thread = self.turns.guard(self._inner)  # noqa: SLF001  # as above

    @property
    def instance(self) -> Any:
        """The object of the service's class; None before it is made."""
        return self.factory._service_instance  # noqa: SLF001  # what BentoML itself calls

    def start(self) -> None:
        """Make the object on this thread, and have the loop run what belongs to its start."""
        assert self.loop is not None  # noqa: S101  # models are loaded once the server listens
        self._deploy()
        made = self.declared()
        asyncio.run_coroutine_threadsafe(self._begin(made), self.loop).result()

    def _deploy(self) -> None:
        """Do what `bentoml serve` does once: find the models, run hooks, make room for tasks."""
        from _bentoml_impl.server.serving import (  # type: ignore[import-not-found]  # as above
            server_on_deployment,
        )
        from bentoml._internal.container import (  # type: ignore[import-not-found]  # as above
            BentoMLContainer,
        )

        results = str(self._folder / "results.db")
        BentoMLContainer.result_store_file.set(results)
        server_on_deployment(self.declared, results)

    async def _begin(self, made: Any) -> None:
        self.factory.service = _Made(self.declared, made)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.ensure_future(self._live(started))
        await started

    async def _live(self, started: asyncio.Future[None]) -> None:
        """Be the task in which the service begins and ends: mounted applications ask for that."""
        try:
            async with self.factory.lifespan(self.app):
                started.set_result(None)
                await self._ended.wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def end(self) -> None:
        """Run what belongs to its end."""
        self._ended.set()
        if self._life is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._life
        shutil.rmtree(self._folder, ignore_errors=True)


class _Made:
    """A declared service whose object is there already: asked for one, it gives that."""

    def __init__(self, declared: Any, made: Any) -> None:
        self._declared = declared
        self._made = made

    def __call__(self) -> Any:
        return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._declared, name)
