"""What of the scaling of a service of Sampan's own class has no effect on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.autoscaler.annotations import DOMAIN, KPA, find_annotations
from sampan.autoscaler.policy import Component
from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.silences import Silence, find_silences
from sampan.plan.scaling import AUTOSCALER_CLASS, SAMPAN, make_scaling
from sampan.plan.service import annotations_of, component_spec, components_of

_CLASS = f'metadata.annotations["{AUTOSCALER_CLASS}"]'


def sampan_silences(service: Mapping[str, Any], mode: str) -> Iterator[Silence]:
    """Yield `(path, sentence)` for each component of the class that says what nobody heeds. Pure.

    What `config-autoscaler` of the cluster says is not known here.
    """
    for component in components_of(service):
        spec, root = component_spec(service, component), f"spec.{component.value}"
        annotations = {**annotations_of(service), **(spec.get("annotations") or {})}
        if annotations.get(AUTOSCALER_CLASS) != SAMPAN:
            continue
        if mode != "Standard":
            text = f'"{SAMPAN}" is of Standard mode, and here Knative decides; leave it out'
            yield _CLASS, text
            continue
        scaling = make_scaling(spec, annotations)
        concurrency = int(spec.get("containerConcurrency") or 0)
        told = Component(scaling, annotations, concurrency, mode)
        yield from find_silences(told, annotations, {}, Defaults(), root)
        yield from _own(annotations, scaling.behavior, root)


def _own(
    annotations: Mapping[str, str], behavior: Mapping[str, Any], root: str
) -> Iterator[Silence]:
    named = find_annotations(annotations).get("class", KPA)
    if named != KPA:
        path = f'metadata.annotations["{DOMAIN}class"]'
        yield (
            path,
            f'is "{named}", and {AUTOSCALER_CLASS} "{SAMPAN}" decides; leave one of them out',
        )
    if behavior:
        text = f'is not read by the class "{SAMPAN}"; write annotations as "{DOMAIN}window"'
        yield f"{root}.autoScaling.behavior", text
