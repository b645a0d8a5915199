"""Who may speak to the API server: Host, Origin and bearer token. Pure.

A loopback port is reachable by every web page that the user opens. Checking `Host` stops DNS
rebinding (a page's own name pointed at 127.0.0.1), checking `Origin` stops cross-site requests,
and the token stops other users of the machine. As upstream's `system:public-info-viewer`, only
health and version are told to those who send none.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from sampan.apiserver.messages import Request
from sampan.machinery.errors import Forbidden, Unauthorized

PUBLIC_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one server. `hosts` and `origins` are allowed besides loopback's own."""

    token: str = field(repr=False)
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def check(self, request: Request) -> None:
        """Raise Forbidden or Unauthorized for a request that may not pass."""
        host = request.header("host")
        if not self._is_known(host):
            raise Forbidden(
                f'Host "{host}" is not a name of this server; use "localhost" or "127.0.0.1"'
            )
        self._check_origin(request.header("origin"), host)
        if request.path not in PUBLIC_PATHS:
            self._check_token(request.header("authorization"))

    def _is_known(self, host: str) -> bool:
        name = _without_port(host)
        return name in LOOPBACK_NAMES or name in self.hosts

    def _check_origin(self, origin: str, host: str) -> None:
        own = {f"http://{host}", f"https://{host}"}
        if origin and origin not in own and origin not in self.origins:
            raise Forbidden(
                f'Origin "{origin}" may not use this server; pages of other sites are refused'
            )

    def _check_token(self, authorization: str) -> None:
        scheme, _, sent = authorization.partition(" ")
        if scheme.lower() != "bearer" or not sent.strip():
            raise Unauthorized(
                "no bearer token was sent; use the kubeconfig context that the server wrote"
            )
        if not hmac.compare_digest(sent.strip().encode(), self.token.encode()):
            raise Unauthorized(
                "the bearer token is not this server's; it was made anew with the state folder: "
                "write the kubeconfig context again"
            )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdigit() else host.lower()
