"""What is served besides resources: discovery, version, health."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import TypeAlias

from sampan import __version__
from sampan.apiserver.discovery import (
    AGGREGATED_TYPE,
    build_aggregated,
    build_core_versions,
    build_group,
    build_groups,
    build_resources,
    make_served,
)
from sampan.apiserver.messages import Reply, Request, make_reply, make_text
from sampan.apiserver.negotiate import Form, negotiate
from sampan.machinery.errors import ApiError, MethodNotAllowed, NotFound
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import ListOptions, Store

KUBERNETES = ("1", "32")
"""The Kubernetes version whose API this is: clients compare it with their own."""

Page: TypeAlias = Callable[[Request], JsonObject | None]


class Directory:
    """Answers the paths that are about the server itself."""

    def __init__(self, resources: tuple[Resource, ...], store: Store) -> None:
        self._served = tuple(make_served(r) for r in resources)
        self._store = store

    async def answer(self, request: Request) -> Reply:
        """Return the reply of a path that names no resource; raise NotFound."""
        path = request.path.rstrip("/") or "/"
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                "the server does not allow this method on the requested resource: "
                f"{request.method} is not for {path}"
            )
        if path in ("/healthz", "/livez", "/readyz"):
            return await self._health(path)
        if path == "/version":
            return make_reply(build_version())
        if path in ("/api", "/apis"):
            return self._roots(request, core=path == "/api")
        body = self._document(path.strip("/").split("/"))
        if body is None:
            raise NotFound(
                f'the server could not find the requested resource: nothing is served at "{path}";'
                ' "kubectl api-resources" lists what is'
            )
        return make_reply(body)

    async def _health(self, path: str) -> Reply:
        """Tell that the server lives; `/readyz` also asks the store."""
        if path == "/readyz" and self._served:
            try:
                await self._store.list(self._served[0].resource.id, "", ListOptions(limit=1))
            except ApiError as error:
                return make_text(f"[-]store: {error.message}\nreadyz check failed\n", 500)
        return make_text("ok")

    def _roots(self, request: Request, *, core: bool) -> Reply:
        forms = frozenset({Form.OBJECT, Form.AGGREGATED})
        accepted = negotiate(request.header("accept"), forms)
        if accepted.form is Form.AGGREGATED:
            body = build_aggregated(self._served, core=core)
            return make_reply(body, media_type=AGGREGATED_TYPE)
        address = request.header("host")
        return make_reply(build_core_versions(address) if core else build_groups(self._served))

    def _document(self, parts: list[str]) -> JsonObject | None:
        match parts:
            case ["api", version]:
                return build_resources(self._served, "", version)
            case ["apis", group]:
                return build_group(self._served, group)
            case ["apis", group, version]:
                return build_resources(self._served, group, version)
        return None


def build_version() -> JsonObject:
    """Return the answer to `/version`. Reads what this machine is."""
    major, minor = KUBERNETES
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+sampan-{__version__}",
        "platform": f"{platform.system().lower()}/{machine}",
    }
