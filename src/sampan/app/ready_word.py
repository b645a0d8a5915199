"""Tell whoever started this process that it is up, where that is asked for (`sd_notify`)."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"


def tell_ready() -> None:
    """Send `READY=1` to the socket named in the environment; a name with `@` is an abstract one.

    Nobody who listens is no mistake: the word is a courtesy.
    """
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    address = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(b"READY=1", address)
