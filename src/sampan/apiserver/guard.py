"""From where one may speak to the API server: Host and Origin. Pure.

A loopback port is reachable by every web page that the user opens. Checking `Host` stops DNS
rebinding (a page's own name pointed at 127.0.0.1), checking `Origin` stops cross-site requests.
Other users of the machine are stopped by the token (`authentication`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.apiserver.messages import Request
from sampan.machinery.errors import Forbidden

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one server. `hosts` and `origins` are allowed besides loopback's own."""

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def check(self, request: Request) -> None:
        """Raise Forbidden for a request that may not pass."""
        host = request.header("host")
        if not self._is_known(host):
            raise Forbidden(
                f'Host "{host}" is not a name of this server; use "localhost" or "127.0.0.1"'
            )
        self._check_origin(request.header("origin"), host)

    def _is_known(self, host: str) -> bool:
        name = _without_port(host)
        return name in LOOPBACK_NAMES or name in self.hosts

    def _check_origin(self, origin: str, host: str) -> None:
        own = {f"http://{host}", f"https://{host}"}
        if origin and origin not in own and origin not in self.origins:
            raise Forbidden(
                f'Origin "{origin}" may not use this server; pages of other sites are refused'
            )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdigit() else host.lower()
