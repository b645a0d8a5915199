"""Where a model server listens: a port or a Unix socket, plain or with TLS."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import ssl
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

logger = logging.getLogger("sampan.serve")

_LOOK_SECONDS = 2.0  # how soon a renewed certificate is served; a look costs two stat calls


@dataclass(frozen=True, slots=True)
class Address:
    """Parsed arguments of the same names."""

    uds: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""


def add_address_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `Address`."""
    add = parser.add_argument_group("address").add_argument
    add("--uds", default="", help="serve on this Unix socket instead of a port; its owner only")
    add("--ssl_certfile", default="", help="serve TLS with this certificate chain (PEM)")
    add("--ssl_keyfile", default="", help="its private key, where the chain does not hold it")


def take_address(values: dict[str, Any]) -> Address:
    """Take the parsed values out of the others; ValueError where they do not go together."""
    address = Address(**{field.name: values.pop(field.name) for field in fields(Address)})
    if address.ssl_keyfile and not address.ssl_certfile:
        raise ValueError(
            f'--ssl_keyfile is "{address.ssl_keyfile}" without a certificate; give --ssl_certfile'
        )
    return address


def bind(address: Address, host: str, port: int) -> socket.socket:
    """Return a bound socket; OSError where it cannot be had."""
    if address.uds:
        return _bind_unix(address.uds)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bind_unix(path: str) -> socket.socket:
    """Bind a path for its owner alone. A socket that nobody listens on is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _clear(path: str) -> None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # abstract and plain names alike
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(17, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise OSError(98, "another server listens on it")


class Certificate:
    """The TLS context of a server; `watch` has it read its files again when they change."""

    def __init__(self, address: Address) -> None:
        """Read the files; OSError and ssl.SSLError tell what is wrong with them."""
        self._chain = address.ssl_certfile
        self._key = address.ssl_keyfile or None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        self._seen = self._look()
        self.context.load_cert_chain(self._chain, self._key)

    async def watch(self) -> None:
        """Serve renewed files to new connections, until cancelled. Broken ones change nothing."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.refresh()

    def refresh(self) -> None:
        """Read the files again if they have changed."""
        try:
            seen = self._look()
            if seen == self._seen:
                return
            self._seen = seen
            # Tried on a context of its own: a chain without its key would spoil the one in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
            self.context.load_cert_chain(self._chain, self._key)
        except (OSError, ssl.SSLError) as error:
            logger.warning(
                'certificate "%s" cannot be read again (%s); the one before is served on',
                self._chain,
                error,
            )
        else:
            logger.info('certificate "%s" was renewed', self._chain)

    def _look(self) -> tuple[tuple[int, int], ...]:
        looked = [Path(path).stat() for path in (self._chain, self._key) if path]
        return tuple((found.st_mtime_ns, found.st_ino) for found in looked)
