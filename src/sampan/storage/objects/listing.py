"""The files of a model, asked for page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sampan.storage.base import StorageError
from sampan.storage.job import Job
from sampan.storage.objects.channel import Channel
from sampan.storage.objects.selection import (
    StoredObject,
    Wanted,
    is_wanted,
    select_file,
    select_files,
)
from sampan.storage.objects.store import Page, Store
from sampan.storage.reporter import Reporter
from sampan.storage.retry import try_patiently

_PAGE = 1000
"""What S3 gives at once at most."""

_MOST_UNWANTED = 10
"""So many times the files of a model may stand in its folder and be left out."""


class Listing:
    """Asks a store which files a place stands for. Each page is asked for patiently."""

    def __init__(
        self, channel: Channel, store: Store, parts: tuple[Job, Reporter], attempts: int
    ) -> None:
        self._channel = channel
        self._store = store
        self._parts = parts
        self._attempts = attempts

    async def files(self) -> list[Wanted]:
        """Return the files: of one object, or of a folder. Raise StorageError.

        A path is an object's whole name or a folder: `model` is not `model2/weights` (in KServe's
        S3 it is, by chance of the letters).
        """
        if self._store.folder_first:
            return await self._folder() or await self._one()
        return await self._one() or await self._folder()

    async def _one(self) -> list[Wanted]:
        place = self._store.place
        if not place.path or place.folder:
            return []
        # Listings are in the order of names: an object of just this name would come first.
        found = (await self._page(place.path, "", 1)).objects
        same = [each for each in found if each.name == place.path]
        return [select_file(same[0], place.shown)] if same else []

    async def _folder(self) -> list[Wanted]:
        place, options = self._store.place, self._parts[0].options
        empty_files = self._store.empty_files
        found: list[StoredObject] = []
        async for each in self._below(place.prefix):
            if is_wanted(each, place.prefix, options.patterns, empty_files=empty_files):
                found.append(each)
            if len(found) > options.max_files:
                break  # as many as are refused
        return select_files(found, place.prefix, place.shown)

    async def _below(self, prefix: str) -> AsyncIterator[StoredObject]:
        mark, place = "", self._store.place
        most = _MOST_UNWANTED * (self._parts[0].options.max_files // _PAGE + 5)
        for _ in range(most):
            page = await self._page(prefix, mark, _PAGE)
            for each in page.objects:
                yield each
            if not page.mark:
                return
            if page.mark == mark:
                raise _make_strange_error(self._store, "it goes on where it was")
            mark = page.mark
        raise StorageError(
            "DownloadTooLarge",
            f'the listing of "{place.shown}" has not ended after {most} pages; name the folder of '
            "one model, and look at what answers at its endpoint",
        )

    async def _page(self, prefix: str, mark: str, most: int) -> Page:
        return await try_patiently(
            lambda: _ask(self._channel, self._store, (prefix, mark, most)),
            lambda: 0,
            self._parts,
            self._attempts,
        )


async def _ask(channel: Channel, store: Store, wanted: tuple[str, str, int]) -> Page:
    """Ask for a page; a store that is somewhere else is asked there."""
    reply = await channel.read(await store.ask_page(channel, *wanted))
    if reply.status != 200 and store.correct(reply):
        reply = await channel.read(await store.ask_page(channel, *wanted))
    if reply.status != 200:
        raise store.tell(reply.status, reply.headers, reply.body)
    try:
        page = store.read_page(reply)
    except (ValueError, KeyError, TypeError) as error:
        raise _make_strange_error(store, str(error)) from None
    if any(each.size < 0 for each in page.objects):
        raise _make_strange_error(store, "an object has less than 0 bytes")
    return page


def _make_strange_error(store: Store, why: str) -> StorageError:
    return StorageError(
        "UnexpectedContent",
        f'what answered about "{store.place.shown}" is no listing of its store ({why}); '
        "look at the endpoint that is configured",
    )
