"""The URL of a server that is called because somebody wrote it down: its parts, or why not. Pure.

Whoever writes a URL has it called from inside the network. Loopback and private addresses are where
services are; link-local and metadata addresses hold what a machine tells nobody but itself,
credentials among it, and are never called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from sampan.machinery.addresses import describe, parse_ip

PORTS = {"http": 80, "https": 443}
RPC_SCHEMES = {"grpc": "http", "grpcs": "https"}
"""gRPC's schemes, and those whose ports and security they have."""

_TARGET = re.compile(r"[\x21-\x7e]*")
_NEVER = frozenset({"metadata", "link-local", "unspecified", "multicast"})
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Who is called. `host` is without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A parsed URL: who is called, the request target, and the value of the Host header."""

    origin: Origin
    target: bytes
    authority: bytes


class InvalidAddress(ValueError):
    """A URL that is not called; the message says why and what would mend it."""


def parse_address(url: str) -> WebAddress:
    """Return the parts of a URL; raise InvalidAddress."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidAddress(
            f'"{url}" is no URL ({error}); write "http://host:port/path"'
        ) from None
    host = parts.hostname
    if parts.scheme not in PORTS or not host:
        raise InvalidAddress(f'"{url}" cannot be called; write "http://host:port/path", or https')
    if parts.username is not None:
        raise InvalidAddress(
            f'the URL of "{host}" holds a user name, which would be shown; send credentials as a '
            "header"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise InvalidAddress(f'"{url}" holds a blank or a letter beyond ASCII; escape it with "%"')
    refusal = refuse_host(host)
    if refusal:
        raise InvalidAddress(refusal)
    origin = Origin(parts.scheme, host, port or PORTS[parts.scheme])
    return WebAddress(origin, target.encode(), _authority(parts, host))


def parse_step_address(url: str) -> WebAddress:
    """Return the parts of a graph's step: of `http`, `https`, or gRPC as `grpc` and `grpcs`.

    A gRPC address ends with its model's name; raise InvalidAddress.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in RPC_SCHEMES or not separator:
        return parse_address(url)
    address = parse_address(f"{RPC_SCHEMES[scheme]}://{rest}")
    if not address.target.strip(b"/"):
        raise InvalidAddress(f'"{url}" names no model; write "{scheme}://host:port/model"')
    return address


def refuse_host(host: str) -> str:
    """Return why a host is never called, as far as its name tells ("": it may be)."""
    if host.lower().rstrip(".") in _METADATA_NAMES:
        return _refusal(host, "metadata")
    return refuse_ip(host)


def refuse_ip(text: str) -> str:
    """Return why an IP address is never called ("": it may be, or is none)."""
    try:
        kind = describe(parse_ip(text))
    except ValueError:
        return ""
    return _refusal(text, kind) if kind in _NEVER else ""


def is_loopback_name(host: str) -> bool:
    """Tell whether a name means this machine whatever a resolver says (RFC 6761, section 6.3)."""
    name = host.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


def _authority(parts: SplitResult, host: str) -> bytes:
    try:
        if ":" not in host:
            host.encode("idna")  # what a resolver cannot be asked is told now
        return parts.netloc.encode("ascii" if parts.netloc.isascii() else "idna")
    except UnicodeError as error:
        raise InvalidAddress(f'"{host}" is no host name ({error}); correct it') from None


def _refusal(host: str, kind: str) -> str:
    return f'"{host}" is a {kind} address, which is never called; name the service that is meant'
