"""Which Secrets are allowed: keys that could be files, base64, a size, a type for life."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.admission import admit_by_schema
from sampan.api.data_keys import (
    validate_base64,
    validate_keys,
    validate_size,
    validate_unchanged,
)
from sampan.api.secret.defaults import default_secret
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Default and check a Secret."""
    admitted = admit_by_schema("Secret", obj)
    if admitted.errors:
        return admitted
    secret = default_secret(admitted.obj)
    return Admitted(secret, errors=tuple(_rules(secret, old)))


def _rules(secret: JsonObject, old: JsonObject | None) -> Iterator[FieldError]:
    data = secret.get("data", {})
    yield from validate_keys("data", data)
    yield from validate_base64("data", data)
    yield from validate_size("data", data)
    if old is not None and old.get("type") != secret["type"]:
        text = f'Invalid value: "{secret["type"]}": field is immutable'
        yield FieldError("type", text)
    yield from validate_unchanged(secret, old, ("data",))
