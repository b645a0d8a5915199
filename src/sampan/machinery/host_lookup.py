"""The addresses that a host name leads to now. Thin: it asks the machine's resolver."""

from __future__ import annotations

import asyncio
import socket


async def look_up(host: str, port: int | None = None) -> list[str]:
    """Return the addresses of a host name, each once, in the resolver's order; raise OSError.

    OSError also for what no resolver can be asked (Python: UnicodeError), so that whoever opens
    connections has one way to fail.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{NO_NAME}; correct it") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


NO_NAME = "a part of the host name between dots is empty or longer than 63 letters"
"""What a resolver does not take (RFC 1035, section 2.3.4)."""
