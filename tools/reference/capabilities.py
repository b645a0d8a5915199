"""`capabilities.md`: what of a pod is honoured on a laptop, from the platform's own table."""

from __future__ import annotations

from collections.abc import Iterable

from sampan.platforms.local.capabilities import (
    CAPABILITY_TABLE,
    Harmless,
    Honoured,
    Inside,
    Row,
)
from tools.reference.markdown import code, page, section, table

_INTRODUCTION = """
A workload carries the whole Kubernetes pod template. Run as local processes, each field of it is

- **honoured**: it does what it does in a cluster, in the way that is told;
- **harmless**: left out, and nobody is worse off, for the reason that is told;
- **warned**: left out, and whoever sets it gets a warning when applying and an event
  `FieldNotHonoured` with the sentence that is told.

A field of a pod stands in `spec.predictor` itself, a field of the container in
`spec.predictor.model` or `spec.predictor.containers[]`.
"""


def render() -> str:
    """Return the page."""
    sections = [
        section(kind, table(("field", "here", "how, or why not"), _rows(rows.items())))
        for kind, rows in CAPABILITY_TABLE.items()
    ]
    return page("What a laptop honours of a pod", _INTRODUCTION, *sections)


def _rows(rows: Iterable[tuple[str, Row]]) -> list[tuple[str, str, str]]:
    return [(code(name), *_verdict(row)) for name, row in rows]


def _verdict(row: Row) -> tuple[str, str]:
    if isinstance(row, Honoured):
        return "honoured", row.how
    if isinstance(row, Harmless):
        return "harmless", row.reason
    if isinstance(row, Inside):
        return f"see [{row.type}](#{row.type.lower()})", ""
    fine = ", ".join(code(str(value)) for value in row.fine if value not in ("", []))
    return "warned", row.sentence + (f" (fine: {fine})" if fine else "")
