"""An http(s) URI taken apart: where to ask, what the file is called, what it must hash to. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from sampan.storage.archive.names import is_file_name
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.uri import redact

_SHA256 = re.compile(r"sha256=([0-9a-fA-F]{64})")

_KEPT = "/%:@!$&'()*+,;=~"
"""What stands in a path as it is (RFC 3986, pchar); `%` because people write URIs quoted."""


@dataclass(frozen=True, slots=True)
class Source:
    """`url` is what is asked for, without user and fragment; `shown` is fit for logs and errors.

    `name` is the file's name, `query` what stood behind `?`, `sha256` lower-case hex or empty.
    """

    url: str
    shown: str
    name: str
    query: str = field(repr=False)
    sha256: str
    credentials: str = field(repr=False, default="")

    @property
    def identity(self) -> str:
        """The name under which the cache knows it: the URI without its credentials."""
        return f"{self.url}#sha256={self.sha256}" if self.sha256 else self.url


def parse_source(uri: str) -> Source:
    """Return a URI's parts; raise StorageError naming what is wrong with it."""
    shown = redact(uri)
    parts = _split(uri, shown)
    if parts.path.endswith(".git"):
        raise StorageError(
            "UnsupportedScheme",
            f'the storage URI "{shown}" names a Git repository, which cannot be cloned here; '
            "give the URL of an archive of it (tar.gz or zip)",
        )
    name = unquote(parts.path.rpartition("/")[2])
    if not is_file_name(name):
        raise StorageError(
            "InvalidURI",
            f'no filename contained in the storage URI "{shown}"; '
            "let its path end with the name of a file or an archive",
        )
    return Source(
        url=make_url(parts),
        shown=shown,
        name=name,
        query=parts.query,
        sha256=_digest(parts.fragment, shown),
        credentials=_credentials(parts),
    )


def make_url(parts: SplitResult) -> str:
    """Return the URL to send: ASCII, no user, no fragment."""
    host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port is not None else ""
    path = quote(parts.path, safe=_KEPT) or "/"
    query = "?" + quote(parts.query, safe=_KEPT + "?") if parts.query else ""
    return f"{parts.scheme.lower()}://{host}{port}{path}{query}"


def select_redirect(current: str, location: str, shown: str) -> str:
    """Return the URL that a `Location` leads to; raise StorageError where it must not lead."""
    target = urljoin(current, location)
    scheme = urlsplit(target).scheme.lower()
    if scheme not in {"http", "https"}:
        raise StorageError(
            "SourceRefused",
            f'"{shown}" redirects to the scheme "{scheme}"; only http and https are followed',
        )
    if scheme == "http" and current.startswith("https:"):
        raise StorageError(
            "SourceRefused",
            f'"{shown}" redirects from https to plain http ("{redact(target)}"), where anyone on '
            "the way could change the model; give the URI that it redirects to, if that is meant",
        )
    return make_url(_split(target, shown))


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials belong to (RFC 6454)."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def make_credentials(source: Source, options: FetchOptions, url: str) -> dict[str, str]:
    """Return the headers that one hop of a fetch may carry to its host."""
    host = origin(url)[1]
    headers = dict(options.host_headers.get(host, {}))
    if origin(url) == origin(source.url):
        headers = {**dict(options.headers), **headers}
        if source.credentials and not any(k.lower() == "authorization" for k in headers):
            headers["Authorization"] = source.credentials
    return headers


def _split(uri: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        usable = bool(parts.hostname) and parts.port != 0
        if usable and parts.hostname:
            parts.hostname.encode("idna")
    except (ValueError, UnicodeError):
        usable = False
    if not usable or any(ord(c) < 33 for c in uri):
        raise StorageError(
            "InvalidURI",
            f'the storage URI "{shown}" has no usable host or port; '
            "write https://host[:port]/path/file",
        )
    return parts


def _digest(fragment: str, shown: str) -> str:
    if not fragment:
        return ""
    found = _SHA256.fullmatch(fragment)
    if found is None:
        raise StorageError(
            "InvalidURI",
            f'the fragment "#{fragment}" of the storage URI "{shown}" is not a checksum; '
            "write #sha256= and 64 hexadecimal digits, or leave it out",
        )
    return found[1].lower()


def _credentials(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + b64encode(pair.encode()).decode()
