"""Which ConfigMaps are allowed: keys that could be files, a size; and a sound configuration.

`inferenceservice-config` is read by Sampan itself, so its mistakes are refused here, when they are
made, and what has no effect here is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sampan.api.admission import admit_by_schema
from sampan.api.config import CONFIG_MAP, parse_config
from sampan.api.data_keys import (
    validate_base64,
    validate_keys,
    validate_size,
    validate_unchanged,
)
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject


def admit(obj: JsonObject, old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Check a ConfigMap."""
    admitted = admit_by_schema("ConfigMap", obj)
    if admitted.errors:
        return admitted
    errors = tuple(_rules(admitted.obj, old))
    if admitted.obj.get("metadata", {}).get("name") != CONFIG_MAP:
        return replace(admitted, errors=errors)
    parsed = parse_config(admitted.obj.get("data"))
    return replace(admitted, warnings=parsed.warnings, errors=(*errors, *parsed.errors))


def _rules(config: JsonObject, old: JsonObject | None) -> Iterator[FieldError]:
    data, binary = config.get("data", {}), config.get("binaryData", {})
    yield from validate_keys("data", data)
    yield from validate_keys("binaryData", binary)
    for key in sorted(data.keys() & binary.keys()):
        text = f'Invalid value: "{key}": duplicate of key present in data'
        yield FieldError(f"binaryData[{key}]", text)
    yield from validate_base64("binaryData", binary)
    yield from validate_size("", data, binary)
    yield from validate_unchanged(config, old, ("data", "binaryData"))
