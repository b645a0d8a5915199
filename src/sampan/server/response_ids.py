"""Identifiers of responses whose requests brought none: UUIDs of version 4 (RFC 9562, section 5.4).

From the process's generator, not from the kernel's: an id must be unlike others, not secret, and a
system call costs more than the rest of it. A forked process draws anew (Python sees to it).
"""

from __future__ import annotations

from random import getrandbits

_VERSION_AND_VARIANT = (0xF << 76) | (0x3 << 62)
_OF_UUID4 = (0x4 << 76) | (0x2 << 62)


def make_response_id() -> str:
    """Return a new one."""
    digits = f"{getrandbits(128) & ~_VERSION_AND_VARIANT | _OF_UUID4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
