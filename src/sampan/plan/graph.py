"""Where the steps of an InferenceGraph lead: the addresses of the services that they name.

KServe, InferenceGraph: a step that names a service asks it at its address in the cluster, by the
path of the protocol that it speaks. A graph waits until every named service has an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.plan.model import modelconfig_name
from sampan.plan.service import component_spec, model, predictor, service_key
from sampan.plan.types import Blocked, Component
from sampan.router.annotation import with_options
from sampan.router.option_rules import EXTENSION

GRAPH_KIND = "InferenceGraph"
STEP_NOT_READY = "GraphStepNotReady"
PATHS = {"v1": "/v1/models/{}:predict", "v2": "/v2/models/{}/infer"}
RPC = "grpc-v2"
"""Sampan's own: KServe's router asks over HTTP only, and its controller refuses such a service."""

Find: TypeAlias = Callable[[str], Mapping[str, Any] | None]
"""A name in, the object of that name in the graph's namespace out, None where there is none."""


def make_resolved_nodes(graph: Mapping[str, Any], service: Find, runtime: Find) -> Any:
    """Return the graph's nodes with a `serviceUrl` in each step that names a service, or Blocked.

    `service` finds InferenceServices, and graphs where a graph may enter another; `runtime` finds
    the runtimes that services name. Options of the graph's annotation stand in the nodes and steps
    that they are for.
    """
    nodes: JsonObject = {}
    for name, node in sorted(with_options(graph).items()):
        steps = []
        for step in node.get("steps") or ():
            found = _resolve(step, service, runtime)
            if not isinstance(found, Blocked):
                found = _resolve_fallback(found, service, runtime)
            if isinstance(found, Blocked):
                return found
            steps.append(found)
        nodes[name] = {**node, "steps": steps}
    return nodes


def _resolve_fallback(step: JsonObject, service: Find, runtime: Find) -> JsonObject | Blocked:
    """Return a step whose fallback, where it names a service, has its address."""
    told = step.get(EXTENSION) or {}
    fallback = told.get("fallback")
    if not isinstance(fallback, Mapping) or not fallback.get("serviceName"):
        return step
    found = _resolve(fallback, service, runtime)
    if isinstance(found, Blocked):
        return found
    return {**step, EXTENSION: {**told, "fallback": {"serviceUrl": found["serviceUrl"]}}}


def _resolve(step: Mapping[str, Any], service: Find, runtime: Find) -> JsonObject | Blocked:
    name = step.get("serviceName")
    if not name or step.get("serviceUrl"):
        return dict(step)
    found = service(str(name))
    if found is None:
        return _waits(name, "does not exist; apply it, or correct the step's serviceName")
    if found.get("kind") == GRAPH_KIND:
        return _resolve_graph(step, str(name), found)
    address = ((found.get("status") or {}).get("address") or {}).get("url")
    if not address:
        return _waits(name, f'has no address yet; "sampan why {name}" tells what it waits for')
    protocol = _protocol(found, runtime)
    if protocol == RPC:
        return _resolve_rpc(step, str(name), found, str(address))
    if protocol not in PATHS:
        spoken = f'speaks "{protocol}" and a graph asks by v1, v2 or {RPC}'
        return _waits(name, f"{spoken}; set its protocolVersion")
    if (step.get(EXTENSION) or {}).get("stream"):
        why = f'speaks "{protocol}", and the option stream is of {RPC}; over HTTP a step streams of'
        return _waits(name, f"{why} itself: leave the option out")
    usual = PATHS[protocol].format(_model_name(found)) if _is_asked_by_path(found) else ""
    return _with_url(step, str(address), usual)


def _resolve_rpc(
    step: Mapping[str, Any], name: str, service: Mapping[str, Any], address: str
) -> JsonObject | Blocked:
    """Return a step that asks a service by gRPC, which speaks nothing else: by its model's name."""
    chosen = (step.get(EXTENSION) or {}).get("path")
    if not chosen and not _is_asked_by_path(service):
        why = "serves many models by gRPC; name one as the option path of the step"
        return _waits(name, why)
    return _with_url(step, f"grpc{address.removeprefix('http')}", f"/{_model_name(service)}")


def _with_url(step: Mapping[str, Any], address: str, usual: str) -> JsonObject:
    """Return a step that is asked at an address, by the path that its options name or the usual.

    An address may have a path of its own, so that the router could not put in the option's.
    """
    options = dict(step.get(EXTENSION) or {})
    path = options.pop("path", None)
    url = f"{address}{path if isinstance(path, str) else usual}"
    without = {key: value for key, value in step.items() if key != EXTENSION}
    return {**without, "serviceUrl": url, **({EXTENSION: options} if options else {})}


def _resolve_graph(
    step: Mapping[str, Any], name: str, graph: Mapping[str, Any]
) -> JsonObject | Blocked:
    """Return a step that leads into another graph. Sampan's own: KServe knows services only."""
    url = (graph.get("status") or {}).get("url")
    if url:
        return _with_url(step, str(url), "/")
    text = f'a step names InferenceGraph "{name}", which has no address yet'
    return Blocked(STEP_NOT_READY, f'{text}; "sampan why ig/{name}" tells what it waits for')


def _waits(name: object, why: str) -> Blocked:
    return Blocked(STEP_NOT_READY, f'a step names InferenceService "{name}", which {why}')


def _is_asked_by_path(service: Mapping[str, Any]) -> bool:
    """A server of many models does not say which one is meant."""
    has_transformer = service["spec"].get("transformer") is not None
    return has_transformer or not modelconfig_name(service)


def _protocol(service: Mapping[str, Any], runtime: Find) -> str:
    """The transformer's variable `PROTOCOL`, else what the model says or its runtime offers."""
    transformer = component_spec(service, Component.TRANSFORMER)
    if transformer:
        return _variable(transformer.get("containers"), "PROTOCOL") or "v1"
    wanted = model(service)
    if wanted is None:
        return _variable(predictor(service).get("containers"), "PROTOCOL") or "v1"
    named = runtime(str(wanted["runtime"])) if wanted.get("runtime") else None
    if named is None:
        return str(wanted.get("protocolVersion") or "v1")
    offered = (named.get("spec") or {}).get("protocolVersions") or ["v1"]
    asked = [p for p in offered if p in PATHS] or [p for p in offered if p == RPC]
    return str(next(iter(asked or offered)))


def _model_name(service: Mapping[str, Any]) -> str:
    transformer = component_spec(service, Component.TRANSFORMER).get("containers")
    wanted = model(service)
    own = [wanted] if wanted is not None else predictor(service).get("containers")
    found = (
        _argument(transformer, "--model_name"),
        _variable(own, "MLSERVER_MODEL_NAME"),
        _argument(own, "--model_name"),
    )
    return next((name for name in found if name), service_key(service).name)


def _variable(containers: Iterable[Mapping[str, Any]] | None, name: str) -> str:
    first = next(iter(containers or ()), {})
    values = [e.get("value") for e in first.get("env") or () if e.get("name") == name]
    return str(values[-1] or "") if values else ""


def _argument(containers: Iterable[Mapping[str, Any]] | None, name: str) -> str:
    first = next(iter(containers or ()), {})
    words = [str(word) for word in first.get("args") or ()]
    for at, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and at + 1 < len(words):
            return words[at + 1]
    return ""
