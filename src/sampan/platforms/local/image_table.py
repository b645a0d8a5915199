"""Reading the image table: the generated one, and the user's own before it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from sampan.manifests import read_images
from sampan.platforms.local.images import ImageTable, ImageTableError, make_image_table

_LOG = logging.getLogger(__name__)


def read_image_table(user_file: Path) -> Callable[[], ImageTable]:
    """Return a function that gives the table as it is now; the user's file may be absent.

    An edit of the user's file counts from the next decision on. A file that is wrong raises
    ImageTableError here; one that turns wrong later is logged, and its last good state holds.
    """
    shipped = make_image_table(read_images(), "images.json")
    cache = _UserTable(user_file)
    cache.read()
    return lambda: cache.current().before(shipped)


class _UserTable:
    """The user's table, read again when its file changes (one `stat` a decision)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._table = ImageTable()

    def current(self) -> ImageTable:
        """Return the table; the last good one while the file is broken."""
        try:
            self.read()
        except ImageTableError as error:
            _LOG.warning("%s", error)
        return self._table

    def read(self) -> None:
        """Read the file where it changed; raise ImageTableError."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._table = None, ImageTable()
            return
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return
        from sampan.api.yamlfile import YamlError, parse_documents

        self._stamp = stamp
        try:
            documents = parse_documents(self._path.read_text(), str(self._path))
        except YamlError as error:
            raise ImageTableError(str(error)) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ImageTableError(f'"{self._path}" cannot be read: {error}') from error
        document = documents[0].obj if documents else None
        self._table = make_image_table(document, str(self._path))
