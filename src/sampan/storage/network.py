"""Connections to checked addresses only, and the one request that a fetch makes over them.

A host name is looked up once for each connection, its addresses are checked, and the connection
goes to a checked address itself: between the check and the use no name can come to mean something
else. TLS still verifies the host's name. Redirects pass through the same door.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore

from sampan.storage.addresses import select_addresses
from sampan.storage.base import StorageError
from sampan.storage.job import Job
from sampan.storage.source import Source, make_credentials, origin, select_redirect

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ -~\t]*[!-~])?)?")


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections for httpcore, after `select_addresses` agreed."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first allowed address that answers; raise StorageError when none is."""
        refused: Exception | None = None
        found = await self._look_up(host, port)
        for address in select_addresses(host, found, self._job.options.allowed_private_hosts):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
        raise refused or httpcore.ConnectError("the name has no address")

    async def _look_up(self, host: str, port: int) -> Iterable[str]:
        try:
            async with asyncio.timeout(self._job.options.connect_seconds):
                return await self._job.world.look_up(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("no answer from the name service") from None
        except OSError as error:
            raise httpcore.ConnectError(error.strerror or str(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore does between its own tries (it makes none here)."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Arrived:
    """How many bytes of the file are here; grows while a body is read."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body is still to be read. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


@asynccontextmanager
async def open_answer(
    source: Source, asked: Mapping[str, str], job: Job, arrived: Arrived
) -> AsyncIterator[Answer]:
    """Ask for a source and follow its redirects; raise StorageError for every trouble on the way.

    Trouble while the body is read, inside the caller's block, is turned into StorageError too.
    """
    backend = CheckedBackend(job)
    try:
        async with (
            httpcore.AsyncConnectionPool(tls_context(), network_backend=backend) as pool,
            _follow(pool, source, asked, job) as response,
        ):
            body = count_bytes(response, arrived)
            yield Answer(response.status, lower_names(response.headers), body)
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise make_trouble(source, error, job, arrived) from error


async def count_bytes(response: httpcore.Response, arrived: Arrived) -> AsyncIterator[bytes]:
    """Yield a body's bytes, and count them."""
    async for chunk in response.aiter_stream():
        arrived.count += len(chunk)
        yield chunk


@asynccontextmanager
async def _follow(
    pool: httpcore.AsyncConnectionPool, source: Source, asked: Mapping[str, str], job: Job
) -> AsyncIterator[httpcore.Response]:
    url = source.url
    for _ in range(MAX_REDIRECTS + 1):
        headers = {"Host": host_header(url), **asked, **make_credentials(source, job.options, url)}
        async with ask(pool, url, headers, job) as response:
            location = lower_names(response.headers).get("location", "")
            if response.status not in _REDIRECTS or not location:
                yield response
                return
        url = select_redirect(url, location, source.shown)
    raise StorageError(
        "SourceRefused",
        f'"{source.shown}" redirects more than {MAX_REDIRECTS} times; '
        "give the URI that it finally leads to",
    )


@asynccontextmanager
async def ask(
    pool: httpcore.AsyncConnectionPool,
    url: str,
    headers: Mapping[str, str],
    job: Job,
    method: str = "GET",
    content: bytes | None = None,
) -> AsyncIterator[httpcore.Response]:
    """Send one request. The whole head must come in time: a byte now and then is no progress."""
    _require_headers(headers, url)
    connect, stall = job.options.connect_seconds, job.options.stall_seconds
    timeouts = {"connect": connect, "read": stall, "write": stall, "pool": connect}
    deadline = asyncio.timeout(2 * connect + stall)  # TCP, TLS, head
    try:
        async with deadline:
            extensions = {"timeout": timeouts}
            async with pool.stream(
                method, url, headers=list(headers.items()), content=content, extensions=extensions
            ) as it:
                deadline.reschedule(None)
                yield it
    except TimeoutError:
        if not deadline.expired():
            raise
        raise httpcore.ReadTimeout from None


def _require_headers(headers: Mapping[str, str], url: str) -> None:
    """Raise StorageError for what no header is made of (RFC 9110, 5.1 and 5.5), in ASCII.

    The libraries below tell in their errors what they do not send, and that is most likely a token.
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise StorageError(
                "InvalidRequest",
                f'a header that is configured for "{origin(url)[1]}" has a name that none can have;'
                " name it by letters, digits and hyphens",
            )
        if not _VALUE.fullmatch(value):
            raise StorageError(
                "InvalidRequest",
                f'the header "{name}" for "{origin(url)[1]}" has a value that none can have (a '
                "line's end, a space at an end, or a letter beyond ASCII); copy its token or key "
                "anew",
            )


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return TLS settings that trust what this machine trusts (`SSL_CERT_FILE` counts).

    Where the machine has no certificates at all (Python for macOS), those of `certifi` are taken.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def host_header(url: str) -> str:
    """Return what the header Host says for a URL."""
    scheme, host, port = origin(url)
    shown = f"[{host}]" if ":" in host else host
    return shown if port == {"http": 80, "https": 443}[scheme] else f"{shown}:{port}"


def lower_names(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones joined by commas (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def make_trouble(source: Source, error: Exception, job: Job, arrived: Arrived) -> StorageError:
    """Return what an error of the connection means: none was made, it fell silent, or it broke."""
    host, so_far = origin(source.url)[1], f"after {arrived.count} bytes"
    if isinstance(error, (httpcore.ReadTimeout, httpcore.WriteTimeout)):
        return StorageError(
            "DownloadStalled",
            f'"{source.shown}" sent nothing for {job.options.stall_seconds:g} seconds {so_far}; '
            "try again later, or look at the server",
            retryable=True,
        )
    if isinstance(error, httpcore.LocalProtocolError):
        return StorageError(
            "InvalidRequest",
            f'"{source.shown}" cannot be asked for as it is meant to be; '
            "correct its address, and the headers that are configured for its host",
        )
    if isinstance(error, (httpcore.ProtocolError, httpcore.ReadError, httpcore.WriteError)):
        return StorageError(
            "DownloadTruncated",
            f'the connection to "{host}" ended {so_far} of "{source.shown}", before all of it was '
            f"here ({error or 'reset'}); try again later, or look at the server",
            retryable=True,
        )
    seconds = job.options.connect_seconds
    timed_out = isinstance(error, httpcore.ConnectTimeout)
    why = f"no answer in {seconds:g} seconds" if timed_out else str(error)
    return StorageError(
        "ConnectionFailed",
        f'no connection to the HTTP endpoint "{host}" of "{source.shown}" ({why}); '
        "check the name, the port and this machine's network",
        retryable=True,
    )
