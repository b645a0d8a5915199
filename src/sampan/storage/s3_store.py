"""S3's protocol: which request lists a bucket or reads an object, and what answers mean.

AWS, Amazon S3 API: ListObjectsV2, GetObject, error responses. Names are listed URL-encoded, since
XML cannot hold all of them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus, urlsplit

from sampan.machinery.clock import Clock
from sampan.storage.base import StorageError
from sampan.storage.objects.answers import Words, make_refusal, parse_xml
from sampan.storage.objects.channel import Ask, Channel, Reply
from sampan.storage.objects.selection import StoredObject
from sampan.storage.objects.store import Page, Place
from sampan.storage.s3_signing import AwsKeys, make_query, sign

KeySource = Callable[[], Awaitable[AwsKeys | None]]
"""The keys of this moment; None: requests are not signed."""

WORDS = Words(
    protocol="S3",
    bucket="bucket",
    credentials="verify AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the ServiceAccount's Secret",
    keyless=frozenset(
        {
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "AuthorizationHeaderMalformed",
            "RequestTimeTooSkewed",
        }
    ),
    bucketless=frozenset({"NoSuchBucket", "InvalidBucketName"}),
)
_REGION = "x-amz-bucket-region"
_PARTITION = re.compile(r"(cn|us-gov|us-iso[a-z]?|eu-iso[a-z]?|eusc)-")


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """Where S3 answers. `url` is empty for Amazon's own; `virtual`: the bucket is in the host."""

    url: str
    region: str
    virtual: bool

    @property
    def partition(self) -> str:
        """The part of Amazon's cloud that a region is in: in each, names of buckets are its own."""
        found = _PARTITION.match(self.region)
        return f"aws {found[1]}" if found else "aws"

    def bucket_url(self, bucket: str) -> str:
        """Return the URL of a bucket, without a slash at its end. Pure."""
        ending = "com.cn" if self.region.startswith("cn-") else "com"
        base = self.url or f"https://s3.{self.region}.amazonaws.{ending}"
        if not self.virtual:
            return f"{base}/{bucket}"
        parts = urlsplit(base)
        return f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"


class S3Store:
    """A bucket (`objects.store.Store`)."""

    folder_first = False
    empty_files = False

    def __init__(
        self,
        place: Place,
        endpoint: S3Endpoint,
        keys: tuple[KeySource, bool],
        clock: Clock,
        concurrency: int,
        note: str = "",
    ) -> None:
        self.place = place
        self.note = note
        self.concurrency = concurrency
        self._endpoint = endpoint
        self._keys, self.anonymous = keys
        self._clock = clock
        who = " anonymous" if self.anonymous else ""
        path = f"{place.bucket}/{place.path}{'/' if place.folder else ''}"
        self.identity = f"s3 {endpoint.url or endpoint.partition} {path}{who}"

    async def ask_page(self, _: Channel, prefix: str, mark: str, most: int) -> Ask:
        """Return a signed ListObjectsV2."""
        pairs = [("list-type", "2"), ("prefix", prefix), ("max-keys", str(most))]
        pairs += [("encoding-type", "url"), *([("continuation-token", mark)] if mark else [])]
        url = f"{self._endpoint.bucket_url(self.place.bucket)}/?{make_query(pairs)}"
        return Ask(url, await self._signed(url))

    def read_page(self, reply: Reply) -> Page:
        """Return the objects of a ListBucketResult."""
        root = parse_xml(reply.body)
        if root.tag != "ListBucketResult":
            raise ValueError(f'its XML is a "{root.tag}"')
        encoded = root.findtext("EncodingType") == "url"
        found = [
            StoredObject(
                name=unquote_plus(name) if encoded else name,
                size=int(each.findtext("Size") or "0"),
                version=each.findtext("ETag") or each.findtext("LastModified") or "",
            )
            for each in root.iter("Contents")
            for name in (each.findtext("Key") or "",)
        ]
        more = root.findtext("IsTruncated") == "true"
        return Page(found, (root.findtext("NextContinuationToken") or "") if more else "")

    async def ask_object(self, _: Channel, found: StoredObject, start: int) -> Ask:
        """Return a signed GetObject of just the version that was listed."""
        path = quote(found.name, safe="/-_.~")
        url = f"{self._endpoint.bucket_url(self.place.bucket)}/{path}"
        headers = {"Accept-Encoding": "identity", **(await self._signed(url))}
        if found.version.startswith('"'):
            headers["If-Match"] = found.version
        if start:
            headers["Range"] = f"bytes={start}-"
        return Ask(url, headers)

    def tell(self, status: int, headers: Mapping[str, str], body: bytes) -> StorageError:
        """Return what a refusal means."""
        place = (self.place.shown, self.place.bucket)
        return make_refusal(WORDS, place, (status, headers, body), anonymous=self.anonymous)

    def correct(self, reply: Reply) -> bool:
        """Ask in the bucket's own region from now on, where S3 tells it (redirects, 400, 403)."""
        region = reply.headers.get(_REGION, "")
        known = region == self._endpoint.region or not re.fullmatch(r"[a-z0-9-]+", region)
        if known or self._endpoint.url:
            return False
        self._endpoint = S3Endpoint("", region, virtual=self._endpoint.virtual)
        return True

    async def _signed(self, url: str) -> dict[str, str]:
        keys = await self._keys()
        if keys is None:
            return {}
        return sign(url, keys, self._endpoint.region, self._clock.now())
