"""What kind of network address one is, for those who call what others name. Pure."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that a gateway connects to."""

METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
"""Where AWS (both), Alibaba and Azure answer with credentials; the last is a public address."""


def describe(address: Address) -> str:
    """Return what kind of address this is, in one word; `public` needs no permission."""
    real = unwrap(address)
    tests = (
        ("metadata", real in METADATA),
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
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def parse_ip(text: str) -> Address:
    """Return an IP address, of which a zone (`fe80::1%eth0`) is left out; raise ValueError."""
    return ipaddress.ip_address(text.partition("%")[0])
