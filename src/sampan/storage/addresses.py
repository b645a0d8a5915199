"""Which network addresses a model may come from. Pure.

A storage URI is written by whoever may create a service, and is fetched by a process that stands
inside the network: without a guard it reads cloud metadata and internal services (CVE-2023-43654 in
TorchServe, CVE-2025-6242 in vLLM). Public addresses are allowed, everything else by name only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from sampan.storage.base import StorageError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

ALL = "*"

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that a gateway connects to."""

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
"""Where AWS (both), Alibaba and Azure answer with credentials; the last is a public address."""


def select_addresses(host: str, found: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """Return the addresses of a host that may be connected to; raise StorageError for none.

    `allowed` holds host names, addresses, networks (`10.0.0.0/8`) or `*`. Naming the host allows
    all its addresses; `*` allows what is private or loopback, but neither link-local nor metadata.
    """
    addresses = list(found)
    good = [text for text in addresses if _is_allowed(host, text, allowed)]
    if good:
        return good
    kinds = ", ".join(f'"{text}" ({describe(_parse(text))})' for text in addresses)
    raise StorageError(
        "SourceRefused",
        f'the host "{host}" has no address that models may come from: {kinds or "none at all"}; '
        f'if it is meant to, add "{host}" to the allowed private hosts '
        f"(SAMPAN_ALLOW_PRIVATE_SOURCES={host})",
    )


def describe(address: Address) -> str:
    """Return what kind of address this is, in one word; `public` needs no permission."""
    real = unwrap(address)
    tests = (
        ("metadata", real in _METADATA),
        ("link-local", real.is_link_local),
        ("unspecified", real.is_unspecified),
        ("multicast", real.is_multicast),
        ("loopback", real.is_loopback),
        ("reserved", real.is_reserved),
        ("private", not real.is_global),
    )
    return next((name for name, holds in tests if holds), "public")


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to (mapped, 6to4, NAT64), else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_allowed(host: str, text: str, allowed: Sequence[str]) -> bool:
    address = _parse(text)
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


def _parse(text: str) -> Address:
    return ipaddress.ip_address(text.partition("%")[0])  # the zone of fe80::1%eth0
