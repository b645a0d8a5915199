"""`sampan pull`: a model fetched now, so that the service that needs it starts without waiting."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sampan.cli.output import SYSTEM, CliError, note, say, warn

if TYPE_CHECKING:
    from sampan.storage.base import FetchOptions, Progress

_USER = frozenset({"InvalidURI", "UnsupportedScheme", "ModelNotFound", "RevisionNotFound"})
_STEP = 10
"""Percent between two lines where nobody looks at a terminal."""


def pull(
    uris: Annotated[list[str], typer.Argument(help="hf://, oci://, s3://, https://, ...")],
) -> None:
    """Fetch models into the cache now, and print their folders."""
    from sampan.storage.base import StorageError
    from sampan.storage.fetch import fetch
    from sampan.storage.space import show_bytes
    from sampan.storage.uri import redact

    options = make_options(os.environ)
    for uri in uris:
        shown = redact(uri)
        line = ProgressLine(shown)
        try:
            fetched = asyncio.run(fetch(uri, options, line.tell))
        except StorageError as error:
            line.end()
            code = 1 if error.reason in _USER else SYSTEM
            raise CliError(f"{error.reason}: {error.message}", code) from None
        line.end()
        if fetched.note:
            warn(fetched.note)
        how = "was here already" if fetched.cached else f"came in {fetched.seconds:.1f} s"
        note(f'"{shown}" {how} ({show_bytes(fetched.size)})')
        say(str(fetched.path))


def make_options(environ: Mapping[str, str]) -> FetchOptions:
    """Return the options of a daemon's fetches, with this user's own variables."""
    from sampan.app.operator_settings import OperatorSettingsError, read_operator_settings
    from sampan.app.paths import find_paths
    from sampan.platforms.local.layout import Layout

    paths = find_paths()
    layout = Layout(paths.state, paths.cache, paths.volumes)
    try:
        settings = read_operator_settings(paths.settings_file, environ)
    except OperatorSettingsError as error:
        raise CliError(str(error), SYSTEM) from None
    options = settings.fetch_options(layout.models, layout.volumes)
    return replace(options, environment={**options.environment, **environ})


class ProgressLine:
    """One line that is written over on a terminal; a line now and then elsewhere."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._over = sys.stderr.isatty()
        self._told = ""
        self._percent = -_STEP

    def tell(self, progress: Progress) -> None:
        """Show how far a fetch is."""
        from sampan.storage.space import show_bytes

        percent = 100 * progress.done // progress.total if progress.total else 0
        size = f" {show_bytes(progress.done)}" if progress.done else ""
        whole = f" of {show_bytes(progress.total)} ({percent}%)" if progress.total else ""
        if self._over:
            sys.stderr.write(f"\r\033[K{progress.phase} {self._shown}{size}{whole}")
            sys.stderr.flush()
        elif progress.phase != self._told or percent >= self._percent + _STEP:
            note(f"{progress.phase}{size}{whole}")
            self._percent = percent
        self._told = progress.phase

    def end(self) -> None:
        """Leave an empty line to what comes."""
        if self._over and self._told:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
