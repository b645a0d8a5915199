"""A Bento's service in this process: imported, made, started and ended as BentoML does it.

The application that BentoML makes of a service stands behind everything; `PlainApi` of `plain.py`
answers beside it what needs none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

from sampan.runtimes.bentoml.turns import Turns
from sampan.server.load_failure import LoadFailure

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
        made = self.declared()
        asyncio.run_coroutine_threadsafe(self._begin(made), self.loop).result()

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


class _Made:
    """A declared service whose object is there already: asked for one, it gives that."""

    def __init__(self, declared: Any, made: Any) -> None:
        self._declared = declared
        self._made = made

    def __call__(self) -> Any:
        return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._declared, name)


def import_service(folder: Path, target: str = "") -> Service:
    """Run the module of a Bento, or of a project, and return its service; LoadFailure.

    As with `bentoml serve`, the working folder becomes that of the sources.
    """
    try:
        import bentoml  # type: ignore[import-not-found]  # noqa: F401  # not a dependency
        from _bentoml_impl.loader import load  # type: ignore[import-not-found]  # as above
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f"bentoml is not in the environment ({error}); install bentoml",
        ) from None
    if not folder.is_dir():
        raise LoadFailure("ModelMissing", f'"{folder}" is no folder; give the folder of a Bento')
    _validate_contents(folder, target)
    try:
        declared = load(target or str(folder), working_dir=str(folder), standalone_load=True)
    except (Exception, SystemExit) as error:
        raise LoadFailure(
            "ModelLoadFailed",
            f'the service of "{folder}" cannot be imported: {type(error).__name__}: {error}; mend '
            "it, or add what it imports to the requirements",
        ) from error
    _validate_kind(declared, folder)
    _tell_context(declared)
    return Service(declared)


def _validate_contents(folder: Path, target: str) -> None:
    signs = ("bento.yaml", "bentofile.yaml", "pyproject.toml", "service.py")
    if target or any((folder / name).is_file() for name in signs):
        return
    found = ", ".join(sorted(os.listdir(folder))[:5]) or "nothing"  # noqa: PTH208  # names only
    raise LoadFailure(
        "ModelMissing",
        f'"{folder}" holds no Bento ({found}); give a folder with bento.yaml, bentofile.yaml or '
        "service.py",
    )


def _validate_kind(declared: Any, folder: Path) -> None:
    from _bentoml_sdk import Service as Declared  # type: ignore[import-not-found]  # as above

    if not isinstance(declared, Declared):
        raise LoadFailure(
            "ModelIncompatible",
            f'the service of "{folder}" is one of BentoML before 1.2 ({type(declared).__name__}); '
            'declare it as a class with "@bentoml.service"',
        )


def _tell_context(declared: Any) -> None:
    """Tell BentoML who serves, as its worker does: logs, metrics and monitoring name it."""
    from bentoml._internal.container import (  # type: ignore[import-not-found]  # as above
        BentoMLContainer,
    )
    from bentoml._internal.context import (  # type: ignore[import-not-found]  # as above
        server_context,
    )

    BentoMLContainer.development_mode.set(False)
    server_context.service_type = "entry_service"
    server_context.service_name = declared.name
    server_context.service_routes = [api.route for api in declared.apis.values()]
    tag = declared.bento.tag if declared.bento is not None else None
    server_context.bento_name = tag.name if tag else declared.name
    server_context.bento_version = (tag.version if tag else None) or "not available"
