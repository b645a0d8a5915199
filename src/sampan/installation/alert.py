"""A rule of Prometheus as data."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.machinery.registry import JsonObject


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule: what is wrong (`text`), when (`expression` for so long), and what to do (`mend`)."""

    name: str
    expression: str
    wait: str
    severity: str
    text: str
    mend: str

    def render(self) -> JsonObject:
        """Return it as an item of a PrometheusRule."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.wait,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.text, "description": f"To mend it: {self.mend}."},
        }
