"""Which ResourceQuotas are allowed: limits that are counted here, as whole amounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sampan.api.admission import admit_by_schema
from sampan.machinery.errors import FieldError
from sampan.machinery.quantity import parse_quantity
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject

SCOPES = ("scopes", "scopeSelector")


def admit(obj: JsonObject, _old: JsonObject | None, _context: AdmissionContext) -> Admitted:
    """Check a ResourceQuota; what no admission counts is named in a warning."""
    admitted = admit_by_schema("ResourceQuota", obj)
    if admitted.errors:
        return admitted
    quota = admitted.obj
    return replace(admitted, errors=tuple(_negative(quota)), warnings=tuple(_unhonoured(quota)))


def _negative(quota: JsonObject) -> Iterator[FieldError]:
    for name, amount in ((quota.get("spec") or {}).get("hard") or {}).items():
        if parse_quantity(amount).value < 0:
            text = f'Invalid value: "{amount}": must be greater than or equal to 0'
            yield FieldError(f"spec.hard[{name}]", text)


def _unhonoured(quota: JsonObject) -> Iterator[str]:
    from sampan.api.resourcequota.usage import is_counted

    spec = quota.get("spec") or {}
    for name in SCOPES:
        if spec.get(name):
            yield f"spec.{name} is not honoured: the quota counts every service of the namespace"
    for name in spec.get("hard") or {}:
        if not is_counted(name):
            yield (
                f'spec.hard["{name}"] is not counted here; counted are pods, cpu, memory and '
                "devices (with requests. or limits.) and count/RESOURCE.GROUP"
            )
