"""The list of models that a multi-model server should have, and what must be done for it. Pure.

KServe, model ConfigMap: `models.json` is a list of `{modelName, modelSpec: {storageUri, framework,
memory}}`. A model that is here has a file `SUCCESS.{sha256 of its spec}` that holds the spec.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

FILE = "models.json"
MARK = "SUCCESS."
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model is. `memory` is a Kubernetes quantity, as it is written."""

    storage_uri: str
    framework: str = ""
    memory: str = ""

    def render(self) -> str:
        """Return it as KServe's agent writes it (Go's JSON, which escapes three letters)."""
        found = {
            "storageUri": self.storage_uri,
            "framework": self.framework,
            "memory": self.memory,
        }
        text = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

    @property
    def mark(self) -> str:
        """The name of the file that says that it is here."""
        return MARK + hashlib.sha256(self.render().encode()).hexdigest()


Models: TypeAlias = Mapping[str, ModelSpec]


def parse_models(text: str) -> Models:
    """Return the models of a list; ValueError for what is none, with every mistake."""
    try:
        entries = json.loads(text or "[]")
    except ValueError as error:
        raise ValueError(f"{FILE} is no JSON ({error}); it is written by the operator") from None
    if not isinstance(entries, list):
        raise ValueError(f"{FILE} holds no list of models")  # noqa: TRY004  # a file's content, no call's
    mistakes: list[str] = []
    found: dict[str, ModelSpec] = {}
    for number, entry in enumerate(entries):
        name = str(entry.get("modelName") or "") if isinstance(entry, dict) else ""
        spec = parse_spec(entry.get("modelSpec")) if name else None
        if not _NAME.fullmatch(name):
            mistakes.append(f'entry {number} has the name "{name}"; use letters, digits, - and _')
        elif spec is None:
            mistakes.append(f'model "{name}" has no storageUri')
        else:
            found[name] = spec
    if mistakes:
        raise ValueError(f"{FILE}: {'; '.join(mistakes)}")
    return found


def parse_spec(value: object) -> ModelSpec | None:
    """Return a spec, None where it names no model."""
    if not isinstance(value, dict) or not value.get("storageUri"):
        return None
    texts = {key: str(value.get(key) or "") for key in ("storageUri", "framework", "memory")}
    return ModelSpec(texts["storageUri"], texts["framework"], texts["memory"])


def diff(known: Models, wanted: Models) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the models to remove and those to add, in order; a changed one is in both."""
    gone = tuple(name for name, spec in known.items() if wanted.get(name) != spec)
    new = tuple(name for name, spec in wanted.items() if known.get(name) != spec)
    return gone, new
