"""Looking at texts as an API server would, without one: every mistake of every object at once.

Mistakes are found by the code that admits objects, and what has no effect by the code that plans
them. Runtimes and `inferenceservice-config` are taken from the texts where they are there, else
those that are shipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sampan.api.scheme import REGISTRY
from sampan.api.yamlfile import Document, Problem, read_documents
from sampan.app.bootstrap import CONFIGURATION
from sampan.app.findings import Finding, Place, Report, Severity
from sampan.app.lint_effects import Effect, Effects
from sampan.app.lint_places import place_of
from sampan.app.offline_admission import Judged, judge, select_configuration
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

SYNTAX, TWICE, ADMISSION = "Syntax", "DuplicateObject", "AdmissionWarning"
_BREAK = re.compile(r"^---(?=\s|$)", re.MULTILINE)


def _as_it_is(obj: JsonObject) -> JsonObject:
    return obj


@dataclass(frozen=True, slots=True)
class Text:
    """A text to look at, and what a person calls it. `settled` is applied to each of its objects.

    (`sampan apply` makes relative paths absolute before it sends an object.)
    """

    source: str
    text: str
    settled: Callable[[JsonObject], JsonObject] = _as_it_is


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object of a text, and the verdict on it."""

    document: Document
    judged: Judged

    @property
    def about(self) -> str:
        """Its kind and name, as far as it has them."""
        metadata = self.document.obj.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        kind = self.document.obj.get("kind") or ""
        return f'{kind} "{name}"' if kind and name else str(kind)


def lint(texts: Sequence[Text], effects: Effects, stored: Sequence[JsonObject] = ()) -> Report:
    """Return what is wrong with the objects of texts, and what of them has no effect.

    `effects` knows the platform that they are meant for, `stored` is what is there already.
    """
    read = [_read(text) for text in texts]
    documents = [document for found, _ in read for document in found]
    entries = _judge_all(documents, stored)
    findings = [_syntax_finding(problem) for _, problems in read for problem in problems]
    findings += _twice(entries)
    for entry in entries:
        findings += [_mistake(entry, error) for error in entry.judged.errors]
        told = filter(effects.concerns, entry.judged.warnings)
        findings += [_admission_warning(entry, text) for text in told]
    admitted = [(e, e.judged.obj) for e in entries if e.judged.obj is not None]
    for (entry, _), said in zip(admitted, effects.of([o for _, o in admitted]), strict=True):
        findings += [_effect(entry, effect) for effect in said]
    order = {text.source: number for number, text in enumerate(texts)}
    unique = dict.fromkeys(findings)
    found = sorted(unique, key=lambda f: (order[f.place.source], f.place.line, f.place.column))
    return Report(tuple(_less_of_the_broken(found)), len(texts), len(documents))


def _read(text: Text) -> tuple[list[Document], list[Problem]]:
    documents, problems = _read_all(text)
    return [replace(d, obj=text.settled(d.obj)) for d in documents], problems


def _read_all(text: Text) -> tuple[list[Document], list[Problem]]:
    """Read a text; where YAML ends it, read its documents each by itself."""
    documents, problems = read_documents(text.text, text.source)
    if documents or not problems:
        return documents, problems
    starts = [0, *(m.start() for m in _BREAK.finditer(text.text)), len(text.text)]
    problems = []
    for start, end in pairwise(starts):
        # blank lines in front keep the numbers of the lines
        above = "\n" * text.text.count("\n", 0, start)
        found, wrong = read_documents(above + text.text[start:end], text.source)
        documents += found
        problems += wrong
    return documents, problems


def _judge_all(documents: Sequence[Document], stored: Sequence[JsonObject]) -> list[_Entry]:
    """Judge each object by itself, then among those of its kind that are sound themselves."""
    objects = [document.obj for document in documents]
    configuration = select_configuration(objects, CONFIGURATION["data"])
    alone = [_Entry(document, judge(document.obj, configuration)) for document in documents]
    sound = [entry.document.obj for entry in alone if entry.judged.obj is not None]
    every = [*sound, *stored]
    return [
        _Entry(entry.document, judge(entry.document.obj, configuration, neighbours))
        if entry.judged.obj and (neighbours := _neighbours(entry.document.obj, every))
        else entry
        for entry in alone
    ]


def _neighbours(obj: JsonObject, objects: Sequence[JsonObject]) -> list[JsonObject]:
    resource = REGISTRY.for_object(obj)
    if resource is None or not resource.sees_neighbours:
        return []
    name, namespace = obj["metadata"].get("name"), _namespace(obj)
    alike = (o for o in objects if REGISTRY.for_object(o) is resource)
    return [o for o in alike if o["metadata"].get("name") != name and _namespace(o) == namespace]


def _namespace(obj: Mapping[str, object]) -> str:
    metadata = obj.get("metadata")
    return str((metadata.get("namespace") if isinstance(metadata, dict) else "") or "default")


def _syntax_finding(problem: Problem) -> Finding:
    place = Place(problem.source, problem.line, problem.column)
    return Finding(place, Severity.ERROR, SYNTAX, problem.message)


def _twice(entries: Sequence[_Entry]) -> Iterator[Finding]:
    taken: dict[tuple[str, str, str], Place] = {}
    for entry in entries:
        resource = REGISTRY.for_object(entry.document.obj)
        metadata = entry.document.obj.get("metadata")
        if resource is None or not isinstance(metadata, dict) or not metadata.get("name"):
            continue
        namespace = _namespace(entry.document.obj) if resource.namespaced else ""
        key = (resource.id, namespace, str(metadata["name"]))
        place = place_of(entry.document, "metadata.name")
        if key in taken:
            text = f"it is at {taken[key]} too; remove one of them"
            yield Finding(place, Severity.ERROR, TWICE, text, entry.about, "metadata.name")
        taken.setdefault(key, place)


def _mistake(entry: _Entry, error: FieldError) -> Finding:
    known = not error.path or error.path == "<nil>" or error.path in error.message
    text = error.message if known else f"{error.path}: {error.message}"
    place = place_of(entry.document, error.path, missing=error.reason == "FieldValueRequired")
    return Finding(place, Severity.ERROR, error.reason, text, entry.about, error.path)


def _admission_warning(entry: _Entry, text: str) -> Finding:
    path = re.match(r"(?:spec|metadata)\.[^\s:]+(?=:)", text)
    field = path[0] if path else ""
    place = place_of(entry.document, field)
    return Finding(place, Severity.WARNING, ADMISSION, text, entry.about, field)


def _effect(entry: _Entry, effect: Effect) -> Finding:
    place = place_of(entry.document, effect.path)
    return Finding(place, Severity.WARNING, effect.rule, effect.text, entry.about, effect.path)


def _less_of_the_broken(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Leave out what only follows from a value that could not be read, on the same line."""
    broken = {(f.place.source, f.place.line) for f in findings if f.rule == SYNTAX}
    for finding in findings:
        if finding.rule == SYNTAX or (finding.place.source, finding.place.line) not in broken:
            yield finding
