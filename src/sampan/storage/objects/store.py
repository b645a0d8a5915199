"""What a store must be able to say: how it is asked, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sampan.storage.base import StorageError
from sampan.storage.objects.channel import Ask, Channel, Reply
from sampan.storage.objects.selection import StoredObject


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket (a container, at Azure) and a path in it, without slashes at its ends.

    `shown` is fit for logs and errors. `folder`: the URI ended with `/`, so no single object is
    meant.
    """

    bucket: str
    path: str
    shown: str
    folder: bool = False

    @property
    def prefix(self) -> str:
        """What the names of a folder's objects begin with."""
        return f"{self.path}/" if self.path else ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a listing; `mark` asks for the next ones, "" at the end."""

    objects: Sequence[StoredObject]
    mark: str


class Store(Protocol):
    """One bucket with the credentials of one fetch.

    `identity` names what is fetched from where without any secret; `anonymous`: no credentials are
    sent. `folder_first`: where a name is an object and a folder, the folder is meant.
    `empty_files`: objects without a byte are files. `concurrency` objects are asked for at once.
    `note` is what a person should know of the settings.
    """

    place: Place
    identity: str
    anonymous: bool
    folder_first: bool
    empty_files: bool
    concurrency: int
    note: str

    async def ask_page(self, channel: Channel, prefix: str, mark: str, most: int) -> Ask:
        """Return the request for a page of names that begin with a prefix."""

    def read_page(self, reply: Reply) -> Page:
        """Return what a page holds; ValueError where it is none."""

    async def ask_object(self, channel: Channel, found: StoredObject, start: int) -> Ask:
        """Return the request for an object of exactly this version, from a byte on."""

    def tell(self, status: int, headers: Mapping[str, str], body: bytes) -> StorageError:
        """Return what an answer means that is neither page nor object."""

    def correct(self, reply: Reply) -> bool:
        """Take up what a refusal tells of where to ask; True: asking again can help."""
