"""Opening a connection to an origin: its addresses, which of them may be called, TLS, and in which
words it is told that there is none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from sampan.machinery.addresses import parse_ip
from sampan.machinery.host_lookup import look_up
from sampan.machinery.web_address import Origin, is_loopback_name, refuse_ip
from sampan.wire.upstream_answer import CallFailed, UpstreamLimits

P = TypeVar("P", bound=asyncio.Protocol)


class Opener:
    """Opens connections to one origin. `protocols` are offered in TLS (ALPN)."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        limits: UpstreamLimits,
        protocols: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = origin
        self._loop = loop
        self._limits = limits
        self._protocols = protocols
        self._tls = tls
        self.name = str(origin)

    async def open(self, make: Callable[[], P]) -> P:
        """Return a connection; raise CallFailed."""
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await self._open(make)
        except TimeoutError:
            text = (
                f'"{self.name}" took no connection within {self._limits.connect_seconds:g} seconds'
            )
            raise CallFailed("ConnectTimeout", text) from None
        except ssl.SSLError as error:
            raise CallFailed("TlsFailed", _describe_tls(self.name, error)) from None
        except OSError as error:
            why = error.strerror or str(error)
            text = f'"{self.name}" takes no connection ({why}); see that its service is ready'
            raise CallFailed("ConnectionRefused", text) from None

    async def _open(self, make: Callable[[], P]) -> P:
        """Connect to the first address that takes it; raise CallFailed or the last OSError."""
        failure: OSError = OSError("no address is known")
        host, tls = self._origin.host, self._origin.scheme == "https"
        if tls and self._tls is None:
            self._tls = ssl.create_default_context()
            if self._protocols:
                self._tls.set_alpn_protocols(list(self._protocols))
        for address in await self._resolve():
            try:
                _, connection = await self._loop.create_connection(
                    make,
                    address,
                    self._origin.port,
                    ssl=self._tls,
                    server_hostname=host if tls else None,
                )
            except ssl.SSLError:
                raise  # somebody is there: another address would say no more
            except OSError as error:
                failure = error
            else:
                return connection
        raise failure

    async def _resolve(self) -> list[str]:
        """Return the addresses of the origin that may be called; raise CallFailed for none.

        They are looked at after resolving: a name may lead to any address, and change its mind.
        """
        host = self._origin.host
        found = [host]
        if is_loopback_name(host):
            found = ["127.0.0.1", "::1"]
        elif not _is_address(host):
            found = await look_up(host)
        refusals = {address: refuse_ip(address) for address in found}
        good = [address for address, refusal in refusals.items() if not refusal]
        if not good:
            why = next(iter(refusals.values()), "it has no address")
            raise CallFailed("AddressRefused", f'"{self.name}" is not called: {why}')
        return good


def _describe_tls(name: str, error: ssl.SSLError) -> str:
    """Return why a server is not spoken with by https."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f'"{name}" is not trusted ({error.verify_message}); name the file of who signed its '
            "certificate in SSL_CERT_FILE"
        )
    why = error.reason or str(error)
    return f'"{name}" does not speak TLS as it should ({why}); see whether http is meant'


def _is_address(host: str) -> bool:
    try:
        parse_ip(host)
    except ValueError:
        return False
    return True
