"""Packages that a service asks for beside those of its runtime: an annotation, one a line. Pure.

Plain requirements only (PEP 508: a name, extras, versions, a marker). Options of an installer and
addresses are refused: what is installed comes from where the operator's uv takes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ANNOTATION = "serving.sampan.dev/requirements"

_REQUIREMENT = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"  # a name
    r"\s*(\[[A-Za-z0-9._, -]*\])?"  # extras
    r"\s*((===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9._*+!-]+\s*(,\s*(?=[=~!<>]))?)*"  # versions
    r"\s*(;[^@]*)?"  # a marker
)


def split_requirements(text: str) -> tuple[str, ...]:
    """Return the lines of requirements; empty lines and comments (`# ...`) are left out."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def validate_requirement(line: str) -> bool:
    """Return whether a line is a plain requirement."""
    return _REQUIREMENT.fullmatch(line) is not None


def make_own_requirements(template: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return what a pod's annotation asks for, and what is wrong with it ("": nothing)."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    lines = split_requirements(str(annotations.get(ANNOTATION) or ""))
    wrong = next((line for line in lines if not validate_requirement(line)), None)
    if wrong is None:
        return lines, ""
    return (), (
        f'annotation "{ANNOTATION}": "{wrong}" is no plain requirement; write a package and its '
        'versions, as "pandas>=2,<3", one a line'
    )
