"""The forms of a lint report: lines for people, JSON, and SARIF for code hosts and editors. Pure.

SARIF is OASIS's Static Analysis Results Interchange Format, version 2.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from sampan import __version__
from sampan.app.findings import Finding, Report, Severity
from sampan.cli.output import paint

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33"}


def as_text(report: Report) -> Iterator[str]:
    """Yield a line for each finding: its place, its severity, the object, the words, the rule."""
    for finding in report.findings:
        word = paint(f"{finding.severity.value}:", _COLOURS[finding.severity])
        about = f"{finding.about}: " if finding.about else ""
        yield f"{finding.place}: {word} {about}{finding.message} [{finding.rule}]"


def summary(report: Report) -> str:
    """Return how much was found, in words."""
    counts = (
        _counted(report.count(Severity.ERROR), "error"),
        _counted(report.count(Severity.WARNING), "warning"),
    )
    looked = f"{_counted(report.objects, 'object')} of {_counted(report.texts, 'file')}"
    return f"{' and '.join(counts)} in {looked}"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}" + ("" if number == 1 else "s")


def as_json(report: Report) -> str:
    """Return the report as one JSON object."""
    told = {
        "errors": report.count(Severity.ERROR),
        "warnings": report.count(Severity.WARNING),
        "files": report.texts,
        "objects": report.objects,
        "findings": [_finding(finding) for finding in report.findings],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.place.source,
        "line": finding.place.line,
        "column": finding.place.column,
        "severity": finding.severity.value,
        "rule": finding.rule,
        "object": finding.about,
        "field": finding.path,
        "message": finding.message,
    }


def as_sarif(report: Report) -> str:
    """Return the report as a SARIF log of one run."""
    rules = sorted({finding.rule for finding in report.findings})
    driver = {
        "name": "sampan lint",
        "semanticVersion": __version__,
        "rules": [{"id": rule} for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, rules) for finding in report.findings],
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    place = {
        # A path relative to the folder that the tool ran in, as code hosts want it.
        "artifactLocation": {"uri": quote(finding.place.source)},
        "region": {"startLine": finding.place.line, "startColumn": finding.place.column},
    }
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.about or finding.path:
        named = ": ".join(part for part in (finding.about, finding.path) if part)
        location["logicalLocations"] = [{"fullyQualifiedName": named}]
    text = f"{finding.about}: {finding.message}" if finding.about else finding.message
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": finding.severity.value,
        "message": {"text": text},
        "locations": [location],
    }
