"""Two pages of metrics as one, no family twice (Prometheus, "Exposition formats"). Pure."""

from __future__ import annotations

from collections.abc import Iterator

_WORDS = (b"# HELP ", b"# TYPE ")


def merge(first: bytes, second: bytes) -> bytes:
    """Return `first` and of `second` the families that `first` has not."""
    known = {name for name, _ in _families(first)}
    rest = b"".join(text for name, text in _families(second) if name not in known)
    return first + rest


def _families(page: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each family's name and its lines."""
    name, lines = b"", b""
    for line in page.splitlines(keepends=True):
        if line.startswith(_WORDS):
            found = line.split(maxsplit=3)[2]
            if found != name and lines:
                yield name, lines
                lines = b""
            name = found
        lines += line
    if lines:
        yield name, lines
