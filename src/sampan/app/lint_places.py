"""Where in a file a field is that a message is about: fields are named as they are stored."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.inferenceservice.implementation import FORMATS
from sampan.api.yamlfile import Document
from sampan.app.findings import Place

_MODEL = "spec.predictor.model"
_MAIN = "spec.predictor.containers[0]"


def place_of(document: Document, path: str, *, missing: bool = False) -> Place:
    """Return the place of a field, or of the nearest one above it that is written.

    A service's `spec.predictor.model` may have been written as `spec.predictor.sklearn`, and the
    container of its server is that same object. A `missing` field belongs to what is above it.
    """
    sought = path.rpartition(".")[0] if missing else path
    found = max(_spellings(sought), key=lambda spelling: _depth(document, spelling))
    line, column = document.place_of(found)
    return Place(document.source, line, column)


def _spellings(path: str) -> Iterator[str]:
    yield path
    inner = path
    if path.startswith(_MAIN):
        inner = _MODEL + path.removeprefix(_MAIN)
        yield inner
    if inner.startswith(_MODEL):
        rest = inner.removeprefix(_MODEL)
        yield from (f"spec.predictor.{name}{rest}" for name in FORMATS)


def _depth(document: Document, path: str) -> int:
    """Return how many characters of a path are written in the document."""
    root = f"{document.root}." if document.root else ""
    while path and root + path not in document.places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return len(path)
