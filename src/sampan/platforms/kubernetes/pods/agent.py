"""The agent: a sidecar through which requests pass to be logged or batched, or which pulls models.

KServe, agent container: it listens on 9081 and passes on to the component's port. Beside Knative's
proxy it takes that one's environment, and the proxy sends to the agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.pod_metadata import (
    AGENT,
    AGENT_CONFIG_PATH,
    AGENT_CONFIG_VOLUME,
    AGENT_MODEL_DIR,
    BATCHER,
    BATCHER_LATENCY,
    BATCHER_SIZE,
    LOGGER,
)
from sampan.plan.service import MAIN_CONTAINER, TRANSFORMER_CONTAINER
from sampan.platforms.kubernetes.deployment import DEFAULT_PORT
from sampan.platforms.kubernetes.pods.account_credentials import make_account_credentials
from sampan.platforms.kubernetes.pods.containers import (
    add_container,
    add_mount,
    add_volume,
    annotations_of,
    edit_containers,
    find_container,
    merge_env,
    variable,
)
from sampan.platforms.kubernetes.pods.logger import (
    add_logger_authorities,
    logger_account,
    make_logger_arguments,
)
from sampan.platforms.kubernetes.pods.metrics import QUEUE_PROXY
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.service import AGENT_PORT

NAME = "agent"
MODEL_VOLUME, CONFIG_VOLUME = "model-dir", "model-config"
# As Go writes a probe: its handler, then its times.
_PROBE_ORDER = (
    "exec", "httpGet", "tcpSocket", "grpc", "initialDelaySeconds", "timeoutSeconds",
    "periodSeconds", "successThreshold", "failureThreshold", "terminationGracePeriodSeconds",
)  # fmt: skip
_HTTP_ORDER = ("path", "port", "host", "scheme", "httpHeaders")


def inject_agent(pod: JsonObject, around: Surroundings) -> JsonObject:
    """Return the pod with an agent, where its annotations ask for one."""
    annotations = annotations_of(pod)
    wanted = any(key in annotations for key in (LOGGER, AGENT, BATCHER))
    if not wanted or find_container(pod, NAME):
        return pod
    served = find_container(pod, TRANSFORMER_CONTAINER, MAIN_CONTAINER) or dict(
        pod["spec"]["containers"][0]
    )
    agent = _make_container(pod, served, around)
    if LOGGER in annotations:
        pod, agent = add_logger_authorities(pod, agent, around)
    for account in ("", *logger_account(pod, around)):
        credentials = make_account_credentials(pod, around, account)
        env = merge_env(agent.get("env") or (), credentials.env)
        agent = {**agent, "env": env} if env else agent
        for mount in credentials.mounts:
            agent = add_mount(agent, mount)
        for volume in credentials.volumes:
            pod = add_volume(pod, volume)
    if AGENT in annotations:
        pod, agent = _with_models(pod, agent)
    if find_container(pod, QUEUE_PROXY):
        pod = edit_containers(pod, [QUEUE_PROXY], _sending_to_agent)
    return add_container(pod, agent)


def _make_container(pod: JsonObject, served: JsonObject, around: Surroundings) -> JsonObject:
    settings = around.settings.agent
    ports = served.get("ports") or [{}]
    port = ports[0].get("containerPort") or DEFAULT_PORT
    args = [*_arguments(pod, around), "--component-port", str(port)]
    security = pod["spec"]["containers"][0].get("securityContext")
    env = _environment(pod, served)
    return {
        "name": NAME,
        "image": settings.image,
        "args": args,
        **({"resources": settings.resources} if settings.resources else {}),
        **({"securityContext": security} if security else {}),
        "ports": [{"name": "agent-port", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        **({"env": env} if env else {}),
        "readinessProbe": _probe(served),
    }


def _arguments(pod: JsonObject, around: Surroundings) -> Iterator[str]:
    annotations = annotations_of(pod)
    if AGENT in annotations:
        yield "--enable-puller"
        yield from ("--config-dir", annotations.get(AGENT_CONFIG_PATH, ""))
        yield from ("--model-dir", annotations.get(AGENT_MODEL_DIR, ""))
    if BATCHER in annotations:
        yield "--enable-batcher"
        for name, key in (("--max-batchsize", BATCHER_SIZE), ("--max-latency", BATCHER_LATENCY)):
            if annotations.get(key):
                yield from (name, annotations[key])
    if LOGGER in annotations:
        yield from make_logger_arguments(pod, around)


def _environment(pod: JsonObject, served: Mapping[str, Any]) -> list[JsonObject]:
    proxy = find_container(pod, QUEUE_PROXY)
    if proxy is not None:
        return [dict(e) for e in proxy.get("env") or ()]
    probe = served.get("readinessProbe") or {}
    if "httpGet" not in probe and "tcpSocket" not in probe:
        return []
    return [variable("SERVING_READINESS_PROBE", _as_go_writes(probe))]


def _as_go_writes(probe: Mapping[str, Any]) -> str:
    ordered = {key: probe[key] for key in _PROBE_ORDER if key in probe}
    if "httpGet" in ordered:
        http = ordered["httpGet"]
        ordered["httpGet"] = {key: http[key] for key in _HTTP_ORDER if key in http}
    return json.dumps(ordered, separators=(",", ":"))


def _probe(served: Mapping[str, Any]) -> JsonObject:
    own = (served.get("readinessProbe") or {}).get("httpGet") or {}
    # Knative's proxy asks with this header, which the agent answers itself.
    headers = [{"name": "K-Network-Probe", "value": "queue"}]
    path = own.get("path") or "/"
    return {"httpGet": {"path": path, "port": AGENT_PORT, "httpHeaders": headers}}


def _with_models(pod: JsonObject, agent: JsonObject) -> tuple[JsonObject, JsonObject]:
    """The agent puts models where the server reads them, by the list in a ConfigMap."""
    annotations = annotations_of(pod)
    models = {"name": MODEL_VOLUME, "mountPath": annotations.get(AGENT_MODEL_DIR, "")}
    config = {"name": CONFIG_VOLUME, "mountPath": annotations.get(AGENT_CONFIG_PATH, "")}
    pod = add_volume(pod, {"name": MODEL_VOLUME, "emptyDir": {}})
    source = {"name": annotations.get(AGENT_CONFIG_VOLUME, "")}
    pod = add_volume(pod, {"name": CONFIG_VOLUME, "configMap": source})
    pod = edit_containers(pod, [MAIN_CONTAINER], lambda c: add_mount(c, models))
    return pod, add_mount(add_mount(agent, models), config)


def _sending_to_agent(proxy: JsonObject) -> JsonObject:
    env = [
        {**e, "value": str(AGENT_PORT)} if e.get("name") == "USER_PORT" else e
        for e in proxy.get("env") or ()
    ]
    return {**proxy, "env": env}
