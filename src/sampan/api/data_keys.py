"""Rules that ConfigMaps and Secrets share: keys, size, and what `immutable` forbids."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping

from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

MAX_BYTES = 1024 * 1024
"""Most bytes of all values together, as in Kubernetes, where an etcd request has a limit."""

_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def validate_keys(field: str, data: Mapping[str, str]) -> Iterator[FieldError]:
    """Yield each key that could not be a file name."""
    for key in data:
        if not _KEY.fullmatch(key) or key.startswith("..") or key == "." or len(key) > 253:
            yield FieldError(
                f"{field}[{key}]",
                f'Invalid value: "{key}": a valid config key must consist of alphanumeric '
                "characters, '-', '_' or '.'",
            )


def validate_base64(field: str, data: Mapping[str, str]) -> Iterator[FieldError]:
    """Yield each value that is not base64, without showing it."""
    for key, value in data.items():
        try:
            b64decode(value, validate=True)
        except ValueError:
            text = "not base64; encode the value, or write it as text in stringData"
            yield FieldError(f"{field}[{key}]", f"Invalid value: {text}")


def validate_size(field: str, *parts: Mapping[str, str]) -> Iterator[FieldError]:
    """Yield one mistake where the values together are too large."""
    total = sum(len(value.encode()) for part in parts for value in part.values())
    if total > MAX_BYTES:
        text = f"Too long: may not be more than {MAX_BYTES} bytes"
        yield FieldError(field, text, "FieldValueTooLong")


def validate_unchanged(
    obj: JsonObject, old: JsonObject | None, fields: tuple[str, ...]
) -> Iterator[FieldError]:
    """Yield each change of an immutable object."""
    if not (old and old.get("immutable")):
        return
    changed = [name for name in fields if (obj.get(name) or {}) != (old.get(name) or {})]
    if obj.get("immutable") is not True:
        changed.insert(0, "immutable")
    for name in changed:
        text = "field is immutable when `immutable` is set"
        yield FieldError(name, f"Forbidden: {text}", "FieldValueForbidden")
