"""Which network addresses a model may come from. Pure.

A storage URI is written by whoever may create a service, and is fetched by a process that stands
inside the network: without a guard it reads cloud metadata and internal services (CVE-2023-43654 in
TorchServe, CVE-2025-6242 in vLLM). Public addresses are allowed, everything else by name only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from sampan.machinery.addresses import Address, describe, parse_ip, unwrap
from sampan.storage.base import StorageError

ALL = "*"


def select_addresses(host: str, found: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """Return the addresses of a host that may be connected to; raise StorageError for none.

    `allowed` holds host names, addresses, networks (`10.0.0.0/8`) or `*`. Naming the host allows
    all its addresses; `*` allows what is private or loopback, but neither link-local nor metadata.
    """
    addresses = list(found)
    good = [text for text in addresses if _is_allowed(host, text, allowed)]
    if good:
        return good
    kinds = ", ".join(f'"{text}" ({describe(parse_ip(text))})' for text in addresses)
    raise StorageError(
        "SourceRefused",
        f'the host "{host}" has no address that models may come from: {kinds or "none at all"}; '
        f'if it is meant to, add "{host}" to the allowed private hosts '
        f"(SAMPAN_ALLOW_PRIVATE_SOURCES={host})",
    )


def _is_allowed(host: str, text: str, allowed: Sequence[str]) -> bool:
    address = parse_ip(text)
    kind = describe(address)
    if kind == "public" or host.lower().rstrip(".") in (name.lower() for name in allowed):
        return True
    if any(_covers(network, address) for network in allowed):
        return True
    return ALL in allowed and kind in {"private", "loopback"}


def _covers(network: str, address: Address) -> bool:
    try:
        return unwrap(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
