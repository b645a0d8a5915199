"""Identifiers of responses whose requests brought none: UUIDs of version 4 (RFC 9562, section 5.4).

From the process's generator, not from the kernel's: an id must be unlike others, not secret, and a
system call costs more than the rest of it. A forked process draws anew (Python sees to it).
"""

from __future__ import annotations

from random import getrandbits

_VARIANT = "89ab"


def make_response_id() -> str:
    """Return a new one."""
    digits = f"{getrandbits(128):032x}"
    variant = _VARIANT[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
