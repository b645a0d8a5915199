"""The webhooks' server: TLS with a certificate that is renewed while it serves."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from socket import socket

from sampan.machinery.authority import Pair
from sampan.webhooks.front import Front
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener

BODY_BYTES = 8 * 1024 * 1024
"""An API server's review holds an object twice, each at most 1.5 MiB, and more in a conversion."""


class WebhookServer:
    """Serves a front on a bound socket until it is drained. `show` replaces the certificate."""

    def __init__(self, front: Front, pair: Pair) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._listener = Listener(front.submit, Limits(body_bytes=BODY_BYTES))
        self.show(pair)

    def show(self, pair: Pair) -> None:
        """Show this certificate to new connections. (Python reads chains from files only.)"""
        with tempfile.TemporaryDirectory(prefix="sampan-") as folder:  # 0700, gone at once
            path = Path(folder, "pair.pem")
            path.write_bytes(pair.certificate + pair.key)
            self._context.load_cert_chain(path)

    async def serve(self, sock: socket) -> None:
        """Accept connections."""
        await self._listener.listen_on(sock, self._context)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._listener.address

    async def drain(self, grace_seconds: float) -> None:
        """Accept no more, and let what is asked be answered."""
        await self._listener.drain(grace_seconds)
