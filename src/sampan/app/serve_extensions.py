"""What a person adds to the model server: an ASGI application for paths of their own, middleware.

`--app FILE.py:NAME` answers every path that the server has no route for. `--middleware
FILE.py:NAME` is a function that gets an ASGI application and returns one: it sees each HTTP request
before the server does. Both go over the bridge (`wire.asgi`); what is not there costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sampan.app.targets import load_attribute, parse_target
from sampan.server.load_failure import LoadFailure
from sampan.wire.asgi import Asgi, AsgiApp, as_asgi
from sampan.wire.message import Submit

if TYPE_CHECKING:
    from sampan.app.serve_arguments import Options

FORM = "FILE.py:NAME"
Middleware: TypeAlias = Callable[[AsgiApp], AsgiApp]


@dataclass(frozen=True, slots=True)
class Extensions:
    """`app` takes what has no route; of `middleware` the first sees a request first."""

    app: AsgiApp | None = None
    middleware: tuple[Middleware, ...] = ()


class Extended:
    """The application with its extensions. Made and used on the loop's thread."""

    def __init__(self, extensions: Extensions) -> None:
        self._extensions = extensions
        self._bridges: list[Asgi] = []
        self.fallback: Submit | None = None
        if extensions.app is not None:
            self.fallback = self._bridge(extensions.app)

    def wrap(self, submit: Submit) -> Submit:
        """Return the application behind its middleware; the same one where there is none."""
        if not self._extensions.middleware:
            return submit
        app = as_asgi(submit)
        for middleware in reversed(self._extensions.middleware):
            app = middleware(app)
        return self._bridge(app)

    def _bridge(self, app: AsgiApp) -> Submit:
        bridge = Asgi(app)
        self._bridges.append(bridge)
        return bridge.submit

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Tell every extension of start and end; LoadFailure where one does not start."""
        async with contextlib.AsyncExitStack() as stack:
            for bridge in self._bridges:
                try:
                    await stack.enter_async_context(bridge.lifespan())
                except RuntimeError as error:
                    raise LoadFailure("ModelLoadFailed", str(error)) from error
            yield


def add_extension_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names extensions."""
    add = parser.add_argument_group("extensions").add_argument
    add("--app", type=_place, help=f"{FORM}: an ASGI application for other paths")
    add(
        "--middleware",
        action="append",
        type=_place,
        help=f"{FORM}: a function that wraps an ASGI application; may be repeated",
    )


def load_extensions(options: Options) -> Extensions:
    """Return the extensions that the arguments name; LoadFailure tells what is wrong with one.

    A file that has been run for a model is not run again.
    """
    app = load_attribute(parse_target(options.app), "ASGI application") if options.app else None
    return Extensions(
        app,
        tuple(load_attribute(parse_target(word), "middleware") for word in options.middleware),
    )


def _place(value: str) -> str:
    try:
        parse_target(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'"{value}" names nothing in a file; write {FORM}, as in my_app.py:app'
        ) from None
    return value
