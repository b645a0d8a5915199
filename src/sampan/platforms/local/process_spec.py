"""What one replica's process is: from a workload's pod template to a `ProcessSpec`. Pure."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sampan.kserve import LATE
from sampan.machinery.registry import JsonObject
from sampan.platforms.local.addresses import rewrite_hosts
from sampan.platforms.local.capacity import make_capacity_arguments
from sampan.platforms.local.container_env import (
    Entry,
    Literal,
    Pod,
    make_entries,
    quantity_value,
    select_no_proxy,
)
from sampan.platforms.local.container_paths import FileSystem, rewrite_paths, select_file_system
from sampan.platforms.local.container_ports import (
    Ports,
    make_port_argument,
    rewrite_ports,
    select_ports,
)
from sampan.platforms.local.desired import DesiredWorkload
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.main_container import KSERVE_CONTAINER, main_container
from sampan.platforms.local.process import ProcessSpec, Zygote
from sampan.platforms.local.traces import make_names

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes's alphabet of generated suffixes: no vowels, so that no words appear."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a process has from this machine: folders, variables, and its environment's Python.

    `own_python` is the interpreter of Sampan itself, which starts the containers of a replica that
    has several.
    """

    layout: Layout
    inherited: Mapping[str, str]
    python: str = ""
    own_python: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A replica to start: the spec but for its variables, which `entries` give when resolved.

    `containers` are the processes that it is made of, where it has several containers.
    """

    spec: ProcessSpec
    entries: tuple[Entry, ...]
    files: FileSystem
    pod: Pod
    containers: tuple[Process, ...] = ()


def make_replica_name(workload: DesiredWorkload, ordinal: int) -> str:
    """Return a pod-like name, unique among all namespaces and templates, at most 63 characters."""
    identity = f"{workload.service.namespace}/{workload.name}/{workload.template_hash}"
    digest = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8])
    suffix = ""
    while len(suffix) < 10:
        digest, rest = divmod(digest, len(_ALPHABET))
        suffix += _ALPHABET[rest]
    tail = f"-{suffix}-{ordinal}"
    return workload.name[: 63 - len(tail)] + tail


def make_process(
    workload: DesiredWorkload, replica: str, here: Machine, among: Ports | None = None
) -> Process:
    """Return the process of a replica of a workload that has no problem.

    `among` are the ports of all containers of the replica, where it has several.
    """
    pod_spec: Mapping[str, Any] = workload.template.get("spec") or {}
    container = main_container(workload.template)
    ports = select_ports(container, workload.command)
    if among is not None:
        ports = replace(among, http=ports.http)
    files = select_file_system(pod_spec, container, workload.models)
    pod = _make_pod(workload, replica)

    def local(text: str) -> str:
        path = rewrite_paths(text, files, here.layout, (workload.service, replica))
        return rewrite_ports(rewrite_hosts(path, workload.hosts), ports)

    argv, zygote = _make_argv(workload, container, ports, here)
    spec = ProcessSpec(
        service=workload.service,
        workload=workload.name,
        component=workload.component,
        replica=replica,
        template_hash=workload.template_hash,
        argv=tuple(local(word) for word in argv),
        env={},
        cwd=rewrite_paths(
            _working_dir(container) or str(here.layout.inside(workload.service, replica, "/")),
            files,
            here.layout,
            (workload.service, replica),
        ),
        ports=ports.all,
        http_port=ports.http,
        zygote=zygote,
        readiness=_readiness(workload, container, ports),
        liveness=_probe(container.get("livenessProbe"), ports),
        startup=_probe(container.get("startupProbe"), ports),
        grace_seconds=_grace_seconds(pod_spec),
        model_name=workload.model_name,
        container=str(container.get("name") or KSERVE_CONTAINER),
        image=str(container.get("image") or ""),
        memory_limit=_memory_limit(container),
    )
    own = (_localised(_at_mount(e, workload), local) for e in make_entries(container, pod))
    return Process(spec, (*_base_entries(container, spec, here), *own), files, pod)


def _make_argv(
    workload: DesiredWorkload, container: Mapping[str, Any], ports: Ports, here: Machine
) -> tuple[list[str], Zygote | None]:
    args, own_command = list(container.get("args") or ()), list(container.get("command") or ())
    command = workload.command
    if own_command:
        # A command in the template replaces the image's entrypoint (Kubernetes's `command`).
        return [*own_command, *args], None
    if command is None:
        return args, None
    args += make_port_argument(command, args, ports)
    if any(model.trusted for model in workload.models):
        args += command.trust_arguments
    told = {**workload.capacity, "modelName": workload.model_name}
    args = [*make_capacity_arguments(command, told), *args]  # the user's come last
    program = [word.replace("{python}", here.python) for word in command.argv]
    if not command.entry:
        return [*program, *args], None
    # The entry is called with argv[1:]: the program's own first words are not its arguments.
    zygote = Zygote(python=here.python, preload=command.preload, entry=command.entry)
    return [program[0], *command.entry_arguments, *args], zygote


def _make_pod(workload: DesiredWorkload, replica: str) -> Pod:
    metadata = workload.template.get("metadata") or {}
    spec = workload.template.get("spec") or {}
    namespace = workload.service.namespace
    return Pod(
        name=replica,
        namespace=namespace,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        service_account=str(spec.get("serviceAccountName") or "default"),
        uid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"sampan:{namespace}/{replica}")),
    )


def _base_entries(container: Mapping[str, Any], spec: ProcessSpec, here: Machine) -> list[Entry]:
    env = dict(here.inherited)
    env["HOSTNAME"] = spec.replica
    env |= make_names(env, spec.service.namespace, spec.workload, spec.replica)
    env["PYTHONUNBUFFERED"] = "1"  # a log line is there when it is written, not 8 KiB later
    env |= select_no_proxy(env)
    env["PYTHONNOUSERSITE"] = "1"  # the environment is all that there is, as in an image
    if here.python:
        folder = here.python.rpartition("/")[0]
        env["PATH"] = f"{folder}:{env.get('PATH', '/usr/bin:/bin')}"
        env["VIRTUAL_ENV"] = folder.rpartition("/")[0]
    if container.get("command"):  # a model file written for KServe finds its names here too
        env["PYTHONPATH"] = ":".join(filter(None, (LATE, env.get("PYTHONPATH"))))
    threads = _threads(container)
    if threads:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        env |= dict.fromkeys(names, threads)
    # What comes from this machine is never expanded; PORT is (Knative's contract of containers).
    literals: list[Entry] = [Literal(k, v.replace("$", "$$")) for k, v in env.items()]
    return [*literals, Literal("PORT", f"$(SAMPAN_PORT_{spec.http_port})")]


def _threads(container: Mapping[str, Any]) -> str:
    """Return the number of threads that a CPU limit allows, at least 1 ("" without a limit)."""
    limits = (container.get("resources") or {}).get("limits") or {}
    cpus = quantity_value(limits.get("cpu"))
    return str(max(1, math.ceil(cpus))) if cpus else ""


def _memory_limit(container: Mapping[str, Any]) -> int:
    """Return the bytes of memory that a container may use (0: no limit)."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return math.ceil(quantity_value(limits.get("memory")) or 0)


def _at_mount(entry: Entry, workload: DesiredWorkload) -> Entry:
    """`STORAGE_URI` becomes the path where its files are (KServe's pod webhook)."""
    if entry.variable != "STORAGE_URI" or not workload.models:
        return entry
    return Literal(entry.variable, workload.models[0].path)


def _localised(entry: Entry, local: Callable[[str], str]) -> Entry:
    return Literal(entry.variable, local(entry.value)) if isinstance(entry, Literal) else entry


def _working_dir(container: Mapping[str, Any]) -> str:
    return str(container.get("workingDir") or "")


def _grace_seconds(pod_spec: Mapping[str, Any]) -> float:
    given = pod_spec.get("terminationGracePeriodSeconds")
    return 30.0 if given is None else float(given)


def _readiness(
    workload: DesiredWorkload, container: Mapping[str, Any], ports: Ports
) -> JsonObject | None:
    probe = container.get("readinessProbe")
    if probe:
        return _probe(probe, ports)
    if workload.health_path:
        return {"httpGet": {"path": workload.health_path, "port": ports.http}}
    # KServe's default for a container without one: TCP on the first port (Standard mode).
    return {"tcpSocket": {"port": ports.http}, "timeoutSeconds": 1, "periodSeconds": 10}


def _probe(probe: Mapping[str, Any] | None, ports: Ports) -> JsonObject | None:
    """Return a probe with its port as a number, but for a name that stands for none."""
    if not probe:
        return None
    made: JsonObject = dict(probe)
    for handler in ("httpGet", "tcpSocket", "grpc"):
        action = probe.get(handler)
        if action:
            number = ports.number(action.get("port"))
            made[handler] = {**action, "port": number or action.get("port")}
    return made
