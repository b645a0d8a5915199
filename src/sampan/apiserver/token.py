"""The bearer token of a server: made once, kept in a file that only its owner may read."""

from __future__ import annotations

import secrets
from pathlib import Path

from sampan.apiserver.private_file import write_private

TOKEN_BYTES = 32


def apply_token(path: Path) -> str:
    """Return the token in the file, made anew where there is none."""
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        found = ""
    if found:
        path.chmod(0o600)
        return found
    token = secrets.token_urlsafe(TOKEN_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, token.encode())
    return token
