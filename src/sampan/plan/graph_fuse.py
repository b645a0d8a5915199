"""Whether a graph and the models of its steps run in one process, and what that process is given.

Sampan's own: the annotation `serving.sampan.dev/fuse: "true"`. The services stay as they are, and
answer whoever else asks them; the router loads their models a second time, and asks no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.plan.graph import GRAPH_KIND
from sampan.plan.model import MODEL_PATH, make_model_location
from sampan.plan.service import annotations_of, component_spec, model, predictor
from sampan.plan.types import Blocked, Component, ModelSource

FUSE = "serving.sampan.dev/fuse"
CANNOT_FUSE = "CannotFuse"
LOCAL = "local:"
"""Begins the URL of a step that its router answers itself."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What serves a model format in the router's process: Sampan's runtime, and KServe's names."""

    runtime: str
    runtime_name: str
    image: str


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        "sklearn": Engine("sklearn", "kserve-sklearnserver", "kserve/sklearnserver"),
        "xgboost": Engine("xgboost", "kserve-xgbserver", "kserve/xgbserver"),
        "lightgbm": Engine("lightgbm", "kserve-lgbserver", "kserve/lgbserver"),
    }
)
"""By model format: runtimes in Python, one file a model."""

_KNOWN = frozenset(
    {"modelFormat", "name", "protocolVersion", "resources", "runtime", "runtimeVersion"}
)
_UNSEEN = ("batcher", "logger", "containers", "initContainers", "workerSpec", "storageUris")


@dataclass(frozen=True, slots=True)
class Fused:
    """What the one process needs: an engine, its version, models, and nodes that lead to them."""

    engine: Engine
    version: str
    models: tuple[ModelSource, ...]
    nodes: JsonObject

    @property
    def image(self) -> str:
        """The image whose environment the process runs in."""
        return f"{self.engine.image}:{self.version or 'latest'}"


Named: TypeAlias = Callable[[str], Mapping[str, Any] | None]


def asks_to_fuse(graph: Mapping[str, Any]) -> bool:
    """Tell whether a graph wants one process."""
    return annotations_of(graph).get(FUSE) == "true"


def fuse(nodes: Mapping[str, Any], named: Named) -> Fused | Blocked:
    """Return the one process of a graph whose steps have their addresses, or why there is none.

    `named` finds the services that steps name. What leads elsewhere, by `serviceUrl` or as a
    fallback, is asked there.
    """
    steps = [step for node in nodes.values() for step in node.get("steps") or ()]
    names = dict.fromkeys(str(s["serviceName"]) for s in steps if s.get("serviceName"))
    services = [(name, named(name) or {}) for name in names]
    problem = next((text for name, one in services for text in _refuse(name, one)), "")
    problem = problem or _refuse_together(services)
    if problem:
        text = f"{problem}; remove the annotation {FUSE}, or change the service"
        return Blocked(CANNOT_FUSE, text, Component.ROUTER)
    sources = tuple(
        ModelSource(source.uri, f"{MODEL_PATH}/{name}", source.trusted)
        for name, one in services
        for source in make_model_location(one).sources
    )
    addresses = {name: str(one["status"]["address"]["url"]) for name, one in services}
    told = model(services[0][1]) or {}
    version = str(told.get("runtimeVersion") or "")
    return Fused(_engine(told), version, sources, _led_inside(nodes, addresses))


def _refuse(name: str, service: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a service's model is not loaded into another process."""
    what = f'step\'s InferenceService "{name}"'
    if service.get("kind") == GRAPH_KIND:
        yield f'a step enters InferenceGraph "{name}", which is a process of its own'
        return
    told = model(service)
    if told is None or str((told.get("modelFormat") or {}).get("name")) not in ENGINES:
        yield f"{what} serves no model of a format that is fused ({', '.join(ENGINES)})"
        return
    runtime = told.get("runtime")
    if runtime and runtime != _engine(told).runtime_name:
        yield f'{what} names runtime "{runtime}", and "{_engine(told).runtime_name}" is fused'
    for component in (Component.TRANSFORMER, Component.EXPLAINER):
        if component_spec(service, component):
            yield f"{what} has a {component}, which is a process of its own"
    own = [field for field in told if field not in _KNOWN | {"storageUri"}]
    own += [field for field in _UNSEEN if predictor(service).get(field)]
    if own:
        yield f"{what} sets {own[0]}, which only a server of its own keeps"
    location = make_model_location(service)
    if location.blocked or len(location.sources) != 1 or not told.get("storageUri"):
        yield f"{what} has no storageUri to load from"


def _refuse_together(services: list[tuple[str, Mapping[str, Any]]]) -> str:
    """Return why services that could each be fused are not fused together ("": they are)."""
    if not services:
        return "no step names an InferenceService"
    looks: tuple[tuple[str, Callable[[Mapping[str, Any]], object]], ...] = (
        ("model formats", lambda one: _engine(model(one) or {}).runtime),
        ("runtimeVersions", lambda one: (model(one) or {}).get("runtimeVersion") or ""),
        ("degrees of trust", lambda one: make_model_location(one).sources[0].trusted),
    )
    for what, look in looks:
        found = {name: look(one) for name, one in services}
        if len(set(found.values())) > 1:
            return f"steps have different {what} ({', '.join(found)}), and one process has one"
    return ""


def _engine(told: Mapping[str, Any]) -> Engine:
    return ENGINES[str((told.get("modelFormat") or {}).get("name"))]


def _led_inside(nodes: Mapping[str, Any], addresses: Mapping[str, str]) -> JsonObject:
    """Return the nodes with the steps that name services leading into the process."""
    return {
        name: {**node, "steps": [_inside(step, addresses) for step in node.get("steps") or ()]}
        for name, node in nodes.items()
    }


def _inside(step: Mapping[str, Any], addresses: Mapping[str, str]) -> JsonObject:
    address = addresses.get(str(step.get("serviceName") or ""))
    if address is None:
        return dict(step)
    return {**step, "serviceUrl": LOCAL + str(step["serviceUrl"]).removeprefix(address)}
