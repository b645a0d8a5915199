"""The activator's door: a Unix socket in the user's own folder, which only Envoy knows."""

from __future__ import annotations

import socket
from pathlib import Path

from sampan.activator.activator import Activator
from sampan.activator.calls import LIMITS, CheckCalls
from sampan.protocol.errors import error_body
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response

BACKLOG = 1024


async def serve(activator: Activator, path: Path) -> Listener:
    """Listen on a socket at `path` (mode 0600, a stale one is replaced); the caller drains it.

    Raise OSError where the socket cannot be made.
    """
    listener = Listener(_refuse, LIMITS, CheckCalls(activator))
    await listener.listen_on(_bind(path))
    return listener


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _refuse(request: Request, reply: Reply) -> None:
    """Answer what is no gRPC call."""
    asked = request.target.decode("latin-1")
    reply(Response(404, error_body(f'the activator serves Envoy\'s checks only, not "{asked}"')))
