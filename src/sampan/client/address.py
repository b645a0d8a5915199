"""Where a server is, from the URL that a person gave. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL in parts; `prefix` comes before every path and ends without a slash."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    def url(self, path: str = "") -> str:
        """Return the URL of a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}{path}"


def parse_address(url: str) -> Address:
    """Return the address of a base URL; ValueError tells what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f'"{url}" is no base URL; write http://HOST:PORT or https://HOST')
    if parts.username or parts.password:
        raise ValueError("the base URL holds a password; give a token or a header instead")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f'"{url}" has no valid port; write http://HOST:PORT') from None
    port = port or (443 if parts.scheme == "https" else 80)
    return Address(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def make_headers(headers: dict[str, str] | None, token: str) -> dict[str, str]:
    """Return the headers of every request; `token` becomes a bearer's (RFC 6750)."""
    fixed = {name.lower(): value for name, value in (headers or {}).items()}
    if token:
        fixed["authorization"] = f"Bearer {token}"
    return fixed
