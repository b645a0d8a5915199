"""Google Cloud Storage's JSON API: which request lists a bucket or reads an object.

Google, Cloud Storage JSON API: Objects: list, Objects: get (`alt=media`). An object is asked for by
the generation that was listed. What is stored compressed is asked for as it is stored, since its
listed size and hash are those.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote, urlencode

from sampan.storage.base import StorageError
from sampan.storage.objects.answers import Words, make_refusal
from sampan.storage.objects.channel import Ask, Channel, Reply
from sampan.storage.objects.selection import StoredObject
from sampan.storage.objects.store import Page, Place

TokenSource = Callable[[], Awaitable[str]]
"""The access token of this moment; "": requests carry none."""

WORDS = Words(
    protocol="GCS",
    bucket="bucket",
    credentials="check the file of GOOGLE_APPLICATION_CREDENTIALS in the ServiceAccount's Secret",
    keyless=frozenset({"invalid_grant", "invalid_client", "UNAUTHENTICATED"}),
    bucketless=frozenset({"404", "notFound"}),  # of a listing: nothing else is missing then
)
_FIELDS = "items(name,size,generation,etag,contentEncoding),nextPageToken"
_CONCURRENCY = 4


class GcsStore:
    """A bucket (`objects.store.Store`)."""

    folder_first = True
    empty_files = True
    concurrency = _CONCURRENCY
    note = ""

    def __init__(self, place: Place, endpoint: str, tokens: tuple[TokenSource, bool]) -> None:
        self.place = place
        self._tokens, self.anonymous = tokens
        self._bucket = f"{endpoint}/storage/v1/b/{place.bucket}/o"
        who = " anonymous" if self.anonymous else ""
        self.identity = f"gs {self._bucket} {place.path}{'/' if place.folder else ''}{who}"

    async def ask_page(self, _: Channel, prefix: str, mark: str, most: int) -> Ask:
        """Return the request for a page of the listing."""
        query = {"prefix": prefix, "maxResults": str(most), "fields": _FIELDS}
        if mark:
            query["pageToken"] = mark
        return Ask(f"{self._bucket}?{urlencode(query)}", await self._headers())

    def read_page(self, reply: Reply) -> Page:
        """Return the objects of a listing."""
        told = json.loads(reply.body)
        found = [
            StoredObject(
                name=str(each["name"]),
                size=int(each["size"]),
                version=str(each.get("generation") or each.get("etag") or ""),
                packed=each.get("contentEncoding") == "gzip",
            )
            for each in told.get("items") or ()
        ]
        return Page(found, str(told.get("nextPageToken") or ""))

    async def ask_object(self, _: Channel, found: StoredObject, start: int) -> Ask:
        """Return the request for an object's bytes, in the generation that was listed."""
        query = {"alt": "media"}
        if found.version.isdecimal():
            query["generation"] = found.version
        headers = {**(await self._headers()), "Accept-Encoding": "gzip"}
        if start:
            headers["Range"] = f"bytes={start}-"
        name = quote(found.name, safe="")
        return Ask(f"{self._bucket}/{name}?{urlencode(query)}", headers)

    def tell(self, status: int, headers: Mapping[str, str], body: bytes) -> StorageError:
        """Return what a refusal means."""
        place = (self.place.shown, self.place.bucket)
        return make_refusal(WORDS, place, (status, headers, body), anonymous=self.anonymous)

    def correct(self, _: Reply) -> bool:
        """Google's buckets are all at one place."""
        return False

    async def _headers(self) -> dict[str, str]:
        token = await self._tokens()
        return {"Authorization": f"Bearer {token}"} if token else {}
