"""Which files of a source are wanted, by their paths. Pure.

KServe, storage initializer: `STORAGE_ALLOW_PATTERNS` and `STORAGE_IGNORE_PATTERNS` hold a JSON list
or names between commas; a file must fit one that is allowed and none that is ignored (`fnmatch`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(frozen=True, slots=True)
class Patterns:
    """`allow` empty: every file; `ignore` wins over it."""

    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether any file may be left out."""
        return bool(self.allow or self.ignore)

    def wants(self, path: str) -> bool:
        """Tell whether a file is wanted; `path` is relative to its source, with `/`."""
        allowed = not self.allow or any(fnmatch(path, pattern) for pattern in self.allow)
        return allowed and not any(fnmatch(path, pattern) for pattern in self.ignore)


def parse_list(name: str, text: str) -> tuple[str, ...]:
    """Return the patterns of a variable; ValueError where its JSON is no list of texts."""
    text = text.strip()
    if not text.startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f'{name} is "{text}", which is no JSON ({error}); write ["*.json"] or *.json'
        ) from None
    if not all(isinstance(pattern, str) for pattern in found):
        raise ValueError(f'{name} is "{text}"; write a list of texts, such as ["*.json"]')
    return tuple(found)
