"""Which Kubernetes verb a request is, and whether its resource has it. Pure."""

from __future__ import annotations

from sampan.apiserver.call import Call
from sampan.apiserver.discovery import Served
from sampan.machinery.errors import MethodNotAllowed, NotFound

COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
ACROSS_NAMESPACES = "list"
CREATED_PARTS = frozenset({"token"})
"""Subresources that a POST is for: something is made for the object named by the path."""


ELSEWHERE = {
    "exec": "a replica is a process of this machine: use a shell of your own; its number is in "
    ".status.containerStatuses[0].containerID",
    "attach": 'a replica has no terminal; "kubectl logs -f" follows what it prints',
    "portforward": "a replica already listens on this machine, on the ports of "
    ".spec.containers[0].ports; its service answers at the URL of its InferenceService",
}
"""Subresources of pods that kubectl asks for and that make no sense for a local process."""


def select_verb(call: Call, served: Served) -> str:
    """Return the verb of a call; raise NotFound or MethodNotAllowed where it is not served."""
    route, method = call.route, call.request.method
    methods = OBJECT if route.name else COLLECTION
    if route.subresource in CREATED_PARTS:
        methods = {**OBJECT, "POST": "create"}
    verb = methods.get(method, "")
    if verb not in _allowed(call, served):
        raise _not_allowed(call, served)
    if call.resource.namespaced and not route.namespace and verb != ACROSS_NAMESPACES:
        raise MethodNotAllowed(
            "the server does not allow this method on the requested resource: "
            f'"{call.resource.id}" live in namespaces; name one in the path'
        )
    return verb


def _allowed(call: Call, served: Served) -> tuple[str, ...]:
    part = call.route.subresource
    if not part:
        return served.verbs
    for subresource in served.subresources:
        if subresource.name == part:
            return subresource.verbs
    if served.resource.id == "pods" and part in ELSEWHERE:
        raise MethodNotAllowed(f'"{part}" of "{call.route.name}" is not served: {ELSEWHERE[part]}')
    known = ", ".join(f'"{s.name}"' for s in served.subresources) or "none"
    raise NotFound(
        f'the server could not find the requested resource: "{call.resource.id}" has no '
        f'subresource "{part}"; served: {known}'
    )


def _not_allowed(call: Call, served: Served) -> MethodNotAllowed:
    why = f"{call.request.method} is not for {call.request.path}"
    if call.resource.read_only:
        why = f'"{served.resource.id}" are views of what runs; change what they belong to'
    return MethodNotAllowed(
        f"the server does not allow this method on the requested resource: {why}"
    )
