"""`what-runs-where.md`: what becomes of each field on a laptop and on a cluster, from the table.

Where the plan has a say, it is asked: a service with the field set goes through what a Sampan that
is up says when it is applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sampan.api.inferenceservice.implementation import FORMATS
from sampan.app.lint_effects import NOT_HONOURED, Effect, LocalEffects
from sampan.controllers.unbuilt import MESSAGES
from sampan.plan.fields.paths import parts_of
from sampan.plan.fields.table import FIELD_TABLE
from sampan.plan.fields.verdicts import Honoured, Inside, Partly, Rejected, Row, Verdict, Warned
from sampan.platforms.local.image_table import read_image_table
from tools.reference.markdown import code, page, section, table

_INTRODUCTION = """
What becomes of a field on each platform: run as processes of this machine, and as the objects that
`sampan render` makes for Kubernetes. Nothing is dropped in silence: a field is

- **honoured**: it does what KServe's documentation says, in the way that is told;
- **partly** honoured: some values are not, and whoever sets one gets a warning when applying;
- **warned**: it has no effect, and whoever sets it gets a warning when applying;
- **rejected**: nothing new starts while it is set, because the answers would be wrong, and the
  condition and `sampan why` say so.

What lies below a field is as the field, unless it has a line of its own. Fields that belong to a
pod or a container (all of them in `spec.predictor` and in `spec.predictor.model`) reach the pods of
a cluster as they are; what a laptop makes of each is in [capabilities.md](capabilities.md).
`sampan lint` tells all of this of a file, with `--platform kubernetes` for a cluster.
"""
_UNBUILT = "Nothing acts on objects of this kind on a laptop yet, and applying one says so."
_SERVICE = "InferenceService"
_HIDDEN = frozenset(FORMATS)
_CANARY = "spec.canary[].predictor."
_OWN = frozenset({"maxReplicas", "scaleMetric", "scaleTarget", "autoScaling", "timeout"})


def render() -> str:
    """Return the page."""
    return page(
        "What runs where", _INTRODUCTION, *(_section(kind) for kind in FIELD_TABLE if _rows(kind))
    )


def _section(kind: str) -> str:
    told = [_UNBUILT] if kind in MESSAGES else []
    if kind == _SERVICE:
        told.append(
            "Fields named after a format, such as `spec.predictor.sklearn`, are as those of "
            "`spec.predictor.model`, and a canary's predictor is as the predictor but for the "
            "lines below."
        )
    return section(kind, *told, table(("field", "laptop", "Kubernetes"), list(_lines(kind))))


def _rows(kind: str) -> list[tuple[str, Row]]:
    return [(path, row) for path, row in FIELD_TABLE[kind].items() if not _is_repeated(path)]


def _is_repeated(path: str) -> bool:
    if path == "status" or _HIDDEN & set(parts_of(path)):
        return True
    return path.startswith(_CANARY) and path.removeprefix(_CANARY) not in _OWN


def _lines(kind: str) -> Iterator[tuple[str, str, str]]:
    for path, row in _rows(kind):
        inside = isinstance(row.kubernetes, Inside)
        yield code(path), _local(kind, path, row), "honoured" if inside else _words(row.kubernetes)


def _local(kind: str, path: str, row: Row) -> str:
    if kind in MESSAGES and path.startswith("spec"):
        return "warned"
    above = _idle_above(kind, path)
    if above:
        return f"as {code(above)}"
    asked = _asked(path, row) if kind == _SERVICE and row.example is not None else []
    partly = isinstance(row.local, Partly) and row.example is not None
    for effect in asked:
        told = effect.text.removeprefix(f"{effect.path}: ").removeprefix("it would not run: ")
        if effect.rule != NOT_HONOURED:
            return f"rejected, {code(effect.rule)}: {told}"
        if not partly:
            return f"warned: {told}"
    if partly and isinstance(row.local, Partly):
        return _words(row.local if asked else Honoured(row.local.how))
    return _words(row.local)


def _idle_above(kind: str, path: str) -> str:
    """Return the nearest field above that has no effect here; "" where there is none."""
    rows, parts = FIELD_TABLE[kind], parts_of(path)
    above = [p for p in rows if parts_of(p) == parts[: len(parts_of(p))] and p != path]
    asked = [p for p in above if rows[p].example is not None and kind == _SERVICE]
    idle = [p for p in asked if not isinstance(rows[p].local, Partly) and _asked(p, rows[p])]
    return max(idle, key=len, default="")


def _words(verdict: Verdict) -> str:
    match verdict:
        case Honoured(how):
            return f"honoured: {how}" if how else "honoured"
        case Partly(how, told):
            return f"partly: {how}; warned: {told}" if how else f"warned: {told}"
        case Warned(sentence, fine, modes):
            but = f" (in {' and '.join(modes)} mode)" if modes else ""
            unless = [code(str(value)) for value in fine if value not in ("", "False", "FALSE")]
            return f"warned{but}: {sentence}" + (f" (fine: {', '.join(unless)})" if unless else "")
        case Rejected(sentence):
            return f"rejected: {sentence}"
        case Inside(type=name):
            return f"see [{name}](capabilities.md#{name.lower()})"
        case _:
            return "written by the server"


def _asked(path: str, row: Row) -> list[Effect]:
    """Return what is said of a service in which the field is set to its example."""
    parts = parts_of(path)
    predictor: dict[str, Any] = {
        "minReplicas": 1,
        "maxReplicas": 4,
        "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"},
    }
    spec: dict[str, Any] = {"predictor": predictor}
    if parts[1] in ("transformer", "explainer"):
        container = {"name": "kserve-container", "image": "i", "command": ["c"]}
        spec[parts[1]] = {"containers": [container], "minReplicas": 1, "maxReplicas": 4}
    metadata: dict[str, Any] = {"name": "s", "namespace": "default"}
    service = {"kind": _SERVICE, "metadata": metadata, "spec": spec}
    target: Any = service
    for part in parts[:-1]:
        if part == "[]":
            return []
        target = target.setdefault(part, {})
    target[parts[-1]] = row.example
    said = _local_effects().of([service])[0]
    return [effect for effect in said if parts[-1] in parts_of(effect.path)]


@cache
def _local_effects() -> LocalEffects:
    return LocalEffects(read_image_table(Path("/nonexistent")), applied=True)
