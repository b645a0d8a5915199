"""From a plan to what should exist on this machine. Pure.

What a replica's process is in detail (arguments, variables, mounts) is `process_spec`'s part, asked
for when a replica starts; here it is decided *whether* a workload can run here, and by what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from sampan.plan.types import Plan, Role, ServiceKey, Workload
from sampan.platforms.local.capacity import make_capacity
from sampan.platforms.local.container_ports import select_ports, serves_grpc
from sampan.platforms.local.desired import Desired, DesiredWorkload, Problem
from sampan.platforms.local.entrypoint import drop_own_programs
from sampan.platforms.local.images import ImageTable, make_requirements
from sampan.platforms.local.main_container import main_container, split_template
from sampan.platforms.local.own_requirements import make_own_requirements
from sampan.platforms.local.pod_parts import join_parts
from sampan.platforms.local.routing import Routing, make_route

LOOPBACK = "127.0.0.1"


def render(
    plan: Plan, images: ImageTable, ports: Mapping[str, int] = MappingProxyType({})
) -> Desired:
    """Return what should exist for a plan.

    `ports` are those at which components answer each other, by the names of `select_addressed`.
    """
    if plan.blocked is not None:
        return Desired(plan.service, hold=True)
    if plan.stopped:
        return Desired(plan.service)
    if plan.mesh is not None:
        shared = Routing(plan.service, frozenset({plan.mesh.workload.name}))
        return Desired(plan.service, route=make_route(shared, plan.route), mesh=plan.mesh)
    namespace = plan.service.namespace
    hosts = {f"{name}.{namespace}": f"{LOOPBACK}:{port}" for name, port in ports.items()}
    workloads = tuple(
        replace(render_workload(plan.service, w, images), hosts=hosts) for w in plan.workloads
    )
    speakers = frozenset(w.name for w in workloads if speaks_http2(w))
    objects = {w.name: w.object_name for w in plan.workloads}
    routing = Routing(plan.service, speakers, ports, objects)
    return Desired(plan.service, workloads, make_route(routing, plan.route))


def select_addressed(plan: Plan) -> tuple[str, ...]:
    """Return the components that need an address for each other: where there are several."""
    if plan.route is None or not plan.route.components:
        return ()
    return tuple(w.object_name for w in plan.workloads if w.role is Role.STABLE)


def render_workload(service: ServiceKey, workload: Workload, images: ImageTable) -> DesiredWorkload:
    """Return one workload, with the problem that keeps it from running here, if any."""
    templates = split_template(drop_own_programs(workload.template, images))
    first, *beside = (
        _render_container(service, replace(workload, template=t), images) for t in templates
    )
    return join_parts(first, tuple(beside)) if beside else first


def _render_container(
    service: ServiceKey, workload: Workload, images: ImageTable
) -> DesiredWorkload:
    """Return a workload of one container."""
    desired = DesiredWorkload(
        service=service,
        name=workload.name,
        component=workload.component.value,
        template_hash=workload.template_hash,
        replicas=workload.replicas,
        strategy=workload.strategy,
        models=workload.models,
        template=workload.template,
        model_name=workload.model_name,
        capacity=make_capacity(workload),
        prefetch=workload.prefetch and workload.idle,
    )
    container = main_container(workload.template)
    image, own_command = str(container.get("image", "")), list(container.get("command") or ())
    known = images.find(image) if image else None
    probed = _probed_path(container)
    if known is not None:
        requirements, mismatch = make_requirements(known, image)
        problem = Problem("RuntimeVersionNotSupported", mismatch) if mismatch else None
        own, wrong = make_own_requirements(workload.template)
        problem = Problem("EnvironmentFailed", wrong) if wrong else problem
        return replace(
            desired,
            command=known,
            requirements=tuple(dict.fromkeys((*requirements, *own))),
            health_path=known.health_path if known.health_path and not own_command else probed,
            problem=problem,
        )
    if own_command:
        return replace(desired, program=own_command[0], health_path=probed)
    return replace(desired, problem=_image_problem(image, images))


def speaks_http2(workload: DesiredWorkload) -> bool:
    """Return whether a workload takes gRPC at the port that serves.

    A known server says so itself; of any other its container's port does, by KServe's names.
    """
    if workload.command is not None:
        return workload.command.http2
    return serves_grpc(main_container(workload.template))


def _probed_path(container: Mapping[str, Any]) -> str:
    """Return the path of a readiness probe that asks the port which serves ("": none does)."""
    http = (container.get("readinessProbe") or {}).get("httpGet") or {}
    ports = select_ports(container, None)
    if not http or ports.number(http.get("port")) != ports.http:
        return ""
    return "" if http.get("scheme") == "HTTPS" else str(http.get("path") or "/")


def _image_problem(image: str, images: ImageTable) -> Problem:
    known = images.known()
    return Problem(
        "ImageNotRunnable",
        f'image "{image}" does not run here: no local command stands for it, as one does for '
        f"{_some(image, known)}, and containers are not run on this platform; give the container "
        'a "command" that is installed on this machine, or an entry in "images.yaml"',
    )


def _some(image: str, known: Sequence[str]) -> str:
    """Return the images that are nearest in name, and how many more there are."""
    near = get_close_matches(image.lower(), known, n=3, cutoff=0.4) or known[:3]
    more = len(known) - len(near)
    named = ", ".join(f'"{name}"' for name in near) or "none"
    return f"{named} and {more} more" if more else named
