"""Naming the fields of a plan that are not honoured on this machine. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sampan.plan.types import Plan, Workload
from sampan.platforms.local.capabilities import CAPABILITY_TABLE, Inside, Unsupported
from sampan.platforms.local.capacity import capacity_warnings
from sampan.platforms.local.container_env import Pod, field_value
from sampan.platforms.local.container_ports import has_named_port
from sampan.platforms.local.devices import VARIABLES
from sampan.platforms.local.entrypoint import drop_own_programs
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.main_container import main_container, serving_containers

Named = tuple[str, str]


def plan_warnings(
    plan: Plan, images: ImageTable, devices: Collection[str] = ()
) -> tuple[Named, ...]:
    """Return `(path, sentence)` for each field of the plan's templates not honoured here.

    Paths are those of an InferenceService: pod fields stand in `spec.predictor` itself. `devices`
    are the kinds that this machine has.
    """
    found = [w for workload in plan.workloads for w in workload_warnings(workload, images, devices)]
    return tuple(dict.fromkeys(found))


def workload_warnings(
    workload: Workload, images: ImageTable, devices: Collection[str] = ()
) -> Iterator[Named]:
    """Yield the warnings of one workload."""
    workload = replace(workload, template=drop_own_programs(workload.template, images))
    root = f"spec.{workload.component.value}"
    pod = workload.template.get("spec") or {}
    yield from _object_warnings("PodSpec", pod, root)
    served, running = main_container(workload.template), serving_containers(workload.template)
    stands_in = None if served.get("command") else images.find(str(served.get("image", "")))
    yield from capacity_warnings(workload, stands_in, root)
    for i, container in enumerate(pod.get("containers") or ()):
        path = f"{root}.containers[{i}]"
        if container not in running:
            name = container.get("name")
            yield path, f'the container "{name}" beside "{served.get("name")}" is not run here'
            continue
        yield from _collocation_warnings(container, running, path)
        yield from _reference_warnings(container, path)
        for kind in (container.get("resources") or {}).get("limits") or {}:
            if kind in VARIABLES and kind not in devices:
                sentence = "this machine has no such device; the model runs on its processor"
                yield f"{path}.resources.limits.{kind}", sentence
        if not has_named_port(container, images.find(str(container.get("image", "")))):
            yield (
                f"{path}.ports",
                "a replica has a port of its own here; let the command listen on $PORT",
            )


def _collocation_warnings(
    container: Mapping[str, Any], running: Sequence[Mapping[str, Any]], path: str
) -> Iterator[Named]:
    """Containers of one replica are watched by their readiness, and one for all by its liveness."""
    if len(running) == 1:
        return
    if ((container.get("resources") or {}).get("limits") or {}).get("memory"):
        yield f"{path}.resources.limits.memory", "containers of one replica are not limited here"
    for probe in ("livenessProbe", "startupProbe") if container != running[0] else ():
        if container.get(probe):
            sentence = f'only that of "{running[0].get("name")}" is probed here'
            yield f"{path}.{probe}", sentence


def _object_warnings(kind: str, value: Any, path: str) -> Iterator[Named]:
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _object_warnings(kind, item, f"{path}[{i}]")
        return
    rows = CAPABILITY_TABLE[kind]
    for name, given in value.items() if isinstance(value, Mapping) else ():
        if given is None:
            continue
        row = rows.get(name, rows.get("*"))
        place = f"{path}.{name}"
        if row is None:
            yield place, "this field is not known here, so it has no effect"
        elif isinstance(row, Inside):
            yield from _object_warnings(row.type, given, place)
        elif isinstance(row, Unsupported) and given not in row.fine:
            yield place, row.sentence


def _reference_warnings(container: Mapping[str, Any], path: str) -> Iterator[Named]:
    """Variables whose source has no value on this machine are left out, so they are named."""
    nobody = Pod("", "", {}, {}, "", "")
    for i, item in enumerate(container.get("env") or ()):
        source = item.get("valueFrom") or {}
        place = f"{path}.env[{i}].valueFrom"
        field = (source.get("fieldRef") or {}).get("fieldPath")
        if field and field_value(str(field), nobody) is None:
            yield f"{place}.fieldRef", f'"{field}" has no meaning here; the variable is left out'
        resource = str((source.get("resourceFieldRef") or {}).get("resource") or "")
        if resource:
            kind, _, name = resource.partition(".")
            if name not in ((container.get("resources") or {}).get(kind) or {}):
                yield (
                    f"{place}.resourceFieldRef",
                    f'"{resource}" is not set on the container; the variable is left out',
                )
