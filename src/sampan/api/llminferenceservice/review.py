"""What the rules about a language model's service share: its parts, and their mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject


@dataclass(frozen=True, slots=True)
class Workload:
    """What runs, and the path where it is asked for: `spec`, or `spec.prefill`."""

    path: str
    spec: JsonObject


def workloads(service: JsonObject) -> Iterator[Workload]:
    """Yield the main workload, then the one that reads prompts."""
    spec = service.get("spec") or {}
    yield Workload("spec", spec)
    if spec.get("prefill") is not None:
        yield Workload("spec.prefill", spec["prefill"])


def router(service: JsonObject) -> JsonObject:
    """Return how requests reach the service; empty where that is not said."""
    return (service.get("spec") or {}).get("router") or {}


def invalid(path: str, value: Any, text: str) -> FieldError:
    """Return a mistake of value, shown as JSON."""
    return FieldError(path, f"Invalid value: {json.dumps(value, ensure_ascii=False)}: {text}")


def required(path: str, text: str) -> FieldError:
    """Return a mistake of absence."""
    return FieldError(path, f"Required value: {text}", "FieldValueRequired")


def forbidden(path: str, text: str) -> FieldError:
    """Return a mistake of presence."""
    return FieldError(path, f"Forbidden: {text}", "FieldValueForbidden")
