"""`config-autoscaler`, read anew at each decision, and what of a service's scaling is in vain."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from sampan.autoscaler.cluster import read_defaults
from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.silences import Silence, find_silences
from sampan.controllers.scaled_workload import make_component, make_requested
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.service import annotations_of, deployment_mode
from sampan.plan.types import Plan, Role, Snapshot

CONFIG_AUTOSCALER = Key("configmaps", "knative-serving", "config-autoscaler")
"""Where Knative itself keeps it, so that one manifest configures both."""


async def gather_defaults(store: Store) -> Defaults:
    """Return what holds for every service that does not say otherwise."""
    try:
        found = await store.get(CONFIG_AUTOSCALER)
    except NotFound:
        return Defaults()
    return parse_defaults(found)[0]


def parse_defaults(config_map: JsonObject) -> tuple[Defaults, tuple[str, ...]]:
    """Return what the ConfigMap says, and what is wrong with it."""
    data = config_map.get("data") or {}
    return _parse(tuple(sorted((key, str(text)) for key, text in data.items())))


@lru_cache(maxsize=4)
def _parse(data: tuple[tuple[str, str], ...]) -> tuple[Defaults, tuple[str, ...]]:
    defaults, problems = read_defaults(dict(data))
    return defaults, tuple(problems)


def is_config_autoscaler(obj: JsonObject) -> bool:
    """Tell whether an object is the ConfigMap of the autoscaler."""
    metadata = obj.get("metadata") or {}
    named = (metadata.get("namespace"), metadata.get("name"))
    return obj.get("kind") == "ConfigMap" and named == (
        CONFIG_AUTOSCALER.namespace,
        CONFIG_AUTOSCALER.name,
    )


def scaling_warnings(snapshot: Snapshot, plan: Plan, defaults: Defaults) -> Iterator[Silence]:
    """Yield what of the scaling of a service's components has no effect."""
    mode = deployment_mode(snapshot.service, snapshot.config.default_deployment_mode)
    sent = annotations_of(snapshot.service)
    for workload in plan.workloads:
        if workload.role is Role.STABLE:
            component = make_component(workload, mode)
            root = f"spec.{workload.component.value}"
            requested = make_requested(workload.template)
            yield from find_silences(component, sent, requested, defaults, root)
