"""Where two objects differ, and which of the listed rules allows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).with_name("differences.yaml")
ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where Sampan's object is not KServe's. `path` is dotted, with list positions."""

    sample: str
    kind: str
    name: str
    path: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        where = f"{self.sample}: {self.kind}/{self.name} {self.path}"
        return f"{where}\n    Sampan: {self.ours!r}\n    KServe: {self.theirs!r}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference that is wanted: where it may be, and why."""

    behaviour: str
    kind: re.Pattern[str]
    path: re.Pattern[str]
    sample: re.Pattern[str]
    why: str

    def allows(self, difference: Difference) -> bool:
        return bool(
            self.kind.fullmatch(difference.kind)
            and self.path.fullmatch(difference.path)
            and self.sample.fullmatch(difference.sample)
        )


def rules() -> list[Rule]:
    """Return the rules of differences.yaml."""
    entries = yaml.safe_load(RULES.read_text()) or []
    return [
        Rule(
            e["behaviour"],
            re.compile(e.get("kind", ".*")),
            re.compile(e.get("path", ".*"), re.DOTALL),
            re.compile(e.get("sample", ".*")),
            e["why"],
        )
        for e in entries
    ]


def differences(sample: str, ours: list[Any], theirs: list[Any]) -> Iterator[Difference]:
    """Yield where the objects of a sample differ; objects are matched by kind and name."""
    mine, recorded = _by_key(ours), _by_key(theirs)
    for key in sorted(mine.keys() | recorded.keys()):
        kind, name = key
        where = (sample, kind, name)
        if key not in mine:
            yield Difference(*where, "", ABSENT, "present")
        elif key not in recorded:
            yield Difference(*where, "", "present", ABSENT)
        else:
            for path, a, b in compare(mine[key], recorded[key]):
                yield Difference(*where, path, a, b)


def compare(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the paths at which two JSON values differ, with both sides."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in sorted(ours.keys() | theirs.keys()):
            inner = f"{path}.{key}".lstrip(".")
            yield from compare(ours.get(key, ABSENT), theirs.get(key, ABSENT), inner)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            yield from compare(a, b, f"{path}.{at}")
    elif ours != theirs or type(ours) is not type(theirs):
        yield path, ours, theirs


def _by_key(objects: list[Any]) -> dict[tuple[str, str], Any]:
    """Knative's Service and Kubernetes's are told apart by their group."""
    return {(_kind(o), o["metadata"]["name"]): o for o in objects}


def _kind(obj: Mapping[str, Any]) -> str:
    knative = obj["apiVersion"].startswith("serving.knative.dev/")
    return f"Knative{obj['kind']}" if knative else str(obj["kind"])
