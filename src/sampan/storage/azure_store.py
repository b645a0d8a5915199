"""Azure Blob Storage's REST API: which request lists a container or reads a blob.

Azure, Blob service REST API: List Blobs, Get Blob. A blob is asked for by the ETag that was listed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TypeAlias
from urllib.parse import quote, unquote, urlencode

from sampan.machinery.clock import Clock
from sampan.storage.base import StorageError
from sampan.storage.objects.answers import Words, make_refusal, parse_xml
from sampan.storage.objects.channel import Ask, Channel, Reply
from sampan.storage.objects.selection import StoredObject
from sampan.storage.objects.store import Page, Place

_VERSION = "2021-12-02"
"""Of the REST API: the first that tells names which XML cannot hold."""

WORDS = Words(
    protocol="Azure",
    bucket="container",
    credentials="verify AZURE_STORAGE_ACCESS_KEY or AZURE_CLIENT_ID, AZURE_TENANT_ID and "
    "AZURE_CLIENT_SECRET of the ServiceAccount's Secret, or the signature in the URI",
    keyless=frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo"}),
    bucketless=frozenset({"ContainerNotFound", "ResourceNotFound"}),
)


@dataclass(frozen=True, slots=True)
class AzureAccount:
    """An account and the URL at which its blobs are, without a slash at its end."""

    name: str
    url: str


Authorize: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[tuple[str, dict[str, str]]]]
"""Takes a URL and the headers of a GET, and returns the URL to ask and the headers to add."""


class AzureStore:
    """A container (`objects.store.Store`)."""

    folder_first = False
    empty_files = False
    note = ""

    def __init__(
        self,
        account: AzureAccount,
        place: Place,
        authorizer: tuple[Authorize, bool],
        clock: Clock,
        concurrency: int,
    ) -> None:
        self.place = place
        self.concurrency = concurrency
        self._authorize, self.anonymous = authorizer
        self._clock = clock
        self._container = f"{account.url}/{quote(place.bucket, safe='$')}"
        who = " anonymous" if self.anonymous else ""
        self.identity = f"azure {self._container} {place.path}{'/' if place.folder else ''}{who}"

    async def ask_page(self, _: Channel, prefix: str, mark: str, most: int) -> Ask:
        """Return the request for a page of the listing."""
        query = {"restype": "container", "comp": "list", "maxresults": str(most)}
        query |= {"prefix": prefix} if prefix else {}
        query |= {"marker": mark} if mark else {}
        return await self._ask(f"{self._container}?{urlencode(query)}", {})

    def read_page(self, reply: Reply) -> Page:
        """Return the blobs of an EnumerationResults."""
        root = parse_xml(reply.body)
        if root.tag != "EnumerationResults":
            raise ValueError(f'its XML is a "{root.tag}"')
        found = []
        for each in root.iter("Blob"):
            element = each.find("Name")
            name = (element.text or "") if element is not None else ""
            if element is not None and element.get("Encoded") == "true":
                name = unquote(name)
            size = int(each.findtext("Properties/Content-Length") or "0")
            version = each.findtext("Properties/Etag") or ""
            found.append(StoredObject(name, size, version))
        return Page(found, root.findtext("NextMarker") or "")

    async def ask_object(self, _: Channel, found: StoredObject, start: int) -> Ask:
        """Return the request for a blob's bytes, in the version that was listed."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        if found.version:
            headers["If-Match"] = found.version
        return await self._ask(f"{self._container}/{quote(found.name, safe='/-_.~')}", headers)

    def tell(self, status: int, headers: Mapping[str, str], body: bytes) -> StorageError:
        """Return what a refusal means."""
        place = (self.place.shown, self.place.bucket)
        return make_refusal(WORDS, place, (status, headers, body), anonymous=self.anonymous)

    def correct(self, _: Reply) -> bool:
        """An account is at one place."""
        return False

    async def _ask(self, url: str, headers: Mapping[str, str]) -> Ask:
        date = format_datetime(datetime.fromtimestamp(self._clock.now(), UTC), usegmt=True)
        sent = {"x-ms-version": _VERSION, "x-ms-date": date, **headers}
        asked, more = await self._authorize(url, sent)
        return Ask(asked, {**sent, **more})
