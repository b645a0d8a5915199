"""What `sampan lint` finds: a mistake or a warning, at a place of a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error is what an API server refuses; a warning is what it takes and does not act on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a text. Lines and columns count from 1."""

    source: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `rule` is its stable name, `about` the object (`InferenceService "iris"`).

    `path` is the field (`spec.predictor.minReplicas`), "" for a whole object or text.
    """

    place: Place
    severity: Severity
    rule: str
    message: str
    about: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the texts, and how many texts and objects were looked at."""

    findings: tuple[Finding, ...]
    texts: int
    objects: int

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity is severity for finding in self.findings)
