"""Whom a copy in the cache was given to: others have it when its source says that they may.

Services of many namespaces share a cache. Who names a model by its digest, or asks while its source
is away, would otherwise be given what somebody else fetched by credentials of theirs.
"""

from __future__ import annotations

import asyncio
import hashlib

from sampan.storage.cache import Entry

OPEN = ""
"""The mark of what came without credentials, or is told to be public."""

_ROUNDS = 100_000
"""Some 50 ms: marks lie beside the model, and a registry's password may be a short one."""


async def make_mark(identity: str, *credentials: str) -> str:
    """Return what tells the credentials of a fetch from others', `OPEN` for none."""
    if not any(credentials):
        return OPEN
    secret, salt = (
        text.encode("utf-8", "surrogatepass") for text in ("\0".join(credentials), identity)
    )
    found = await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", secret, salt, _ROUNDS, 16)
    return found.hex()


def is_granted(entry: Entry, mark: str) -> bool:
    """Tell whether who has these credentials is given a copy without asking its source. Pure."""
    return entry.facts.granted in {OPEN, mark}
