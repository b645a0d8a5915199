"""A graph drawn: as lines for a terminal, and as an SVG picture. Pure; of the spec as applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from sampan.router.option_rules import EXTENSION

ROOT = "root"
_ROW, _INDENT, _CHARACTER = 34, 28, 7.4  # pixels


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a node or a step. `bars` tells for each level above whether more follows there."""

    bars: tuple[bool, ...]
    label: str
    target: str
    notes: tuple[str, ...] = ()
    router_type: str = ""


def outline(name: str, nodes: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the graph from its root down; what is entered twice is shown at each place.

    A node that leads back to one above it, or is not there, is named and not followed.
    """
    root = nodes.get(ROOT) or {}
    yield Line((), name, "", (), str(root.get("routerType", "")))
    yield from _steps(nodes, ROOT, (), (ROOT,))


def render_text(lines: Iterator[Line]) -> str:
    """Return the lines as a tree."""
    return "\n".join(_render_line(line) for line in lines)


def render_svg(lines: Iterator[Line]) -> str:
    """Return the lines as a picture: a box for each node and step, joined to the one above it."""
    drawn = list(lines)
    places = [(20 + _INDENT * len(line.bars), 20 + _ROW * i) for i, line in enumerate(drawn)]
    texts = [" ".join(filter(None, _words(line))) for line in drawn]
    width = max(x + _CHARACTER * len(t) for (x, _), t in zip(places, texts, strict=True)) + 60
    size = f'width="{width:.0f}" height="{_ROW * len(drawn) + 30}"'
    font = 'font-family="monospace" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, (x, y) in enumerate(places):
        above = _parent(drawn, index)
        if above is not None:
            start = places[above]
            parts.append(
                f'<path d="M{start[0] + 10} {start[1] + 24} V{y + 12} H{x}" fill="none" '
                'stroke="#888"/>'
            )
        parts.append(_box(drawn[index], texts[index], (x, y)))
    return "\n".join([*parts, "</svg>", ""])


def _steps(
    nodes: Mapping[str, Any], node: str, bars: tuple[bool, ...], way: tuple[str, ...]
) -> Iterator[Line]:
    steps = (nodes.get(node) or {}).get("steps") or ()
    for index, step in enumerate(steps):
        inner = str(step.get("nodeName") or "")
        here = (*bars, index + 1 < len(steps))
        known = inner in nodes and inner not in way
        kind = str(nodes[inner].get("routerType", "")) if known else ""
        label = str(step.get("name") or index)
        yield Line(here, label, _target(step, known=known), tuple(_notes(step)), kind)
        if known:
            yield from _steps(nodes, inner, here, (*way, inner))


def _target(step: Mapping[str, Any], *, known: bool) -> str:
    if step.get("nodeName"):
        return str(step["nodeName"]) + ("" if known else " (not followed)")
    return str(step.get("serviceName") or step.get("serviceUrl") or "")


def _notes(step: Mapping[str, Any]) -> Iterator[str]:
    if step.get("condition"):
        yield f"if {step['condition']}"
    if step.get("weight") is not None:
        yield f"{step['weight']}%"
    if step.get("data") == "$response":
        yield "given $response"
    if step.get("mapPredictionsToInstances"):
        yield "predictions as instances"
    if step.get("dependency") == "Hard":
        yield "hard"
    for option, value in (step.get(EXTENSION) or {}).items():
        yield option if value is True else f"{option} {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and len(value) == 1:
        return str(next(iter(value.values())))
    return "{...}" if isinstance(value, Mapping | list) else str(value)


def _words(line: Line) -> tuple[str, ...]:
    arrow = f"→ {line.target}" if line.target else ""
    notes = f"({', '.join(line.notes)})" if line.notes else ""
    return (line.label, arrow, f"[{line.router_type}]" if line.router_type else "", notes)


def _render_line(line: Line) -> str:
    above = "".join("│  " if more else "   " for more in line.bars[:-1])
    branch = ("├─ " if line.bars[-1] else "└─ ") if line.bars else ""
    return above + branch + " ".join(filter(None, _words(line)))


def _parent(lines: list[Line], index: int) -> int | None:
    depth = len(lines[index].bars)
    above = (i for i in range(index - 1, -1, -1) if len(lines[i].bars) == depth - 1)
    return next(above, None)


def _box(line: Line, text: str, place: tuple[int, int]) -> str:
    x, y = place
    fill = "#e3ecfa" if line.router_type else "#f4f4f4"
    width = _CHARACTER * len(text) + 16
    return (
        f'<rect x="{x}" y="{y}" width="{width:.0f}" height="24" rx="4" fill="{fill}" '
        f'stroke="#888"/><text x="{x + 8}" y="{y + 16}">{escape(text)}</text>'
    )
