"""The error of the gateway: what stands in the way, with which value, and what mends it."""

from __future__ import annotations


class GatewayError(Exception):
    """The gateway cannot do what was asked.

    `reason` is one of `InvalidSettings`, `EnvoyMissing`, `PathTooLong`, `PortInUse`,
    `EnvoyExited`, `ConfigRejected`, `ConfigNotTaken`, `AdminUnreachable`; `message` is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
