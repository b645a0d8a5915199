"""Identifiers of responses whose requests brought none: UUIDs of version 4 (RFC 9562, section 5.4).

From the process's generator, not from the kernel's: an id must be unlike others, not secret, and a
system call costs more than the rest of it. A forked process draws anew (Python sees to it).
"""

from __future__ import annotations

from random import randbytes


def make_response_id() -> str:
    """Return a new one: 118 random bits (of the four digits of the variant always the same)."""
    digits = randbytes(15).hex()  # noqa: S311  # unlike others, not secret
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"
