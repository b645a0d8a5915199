"""What is served besides resources: discovery, OpenAPI, version, health."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterable

from sampan import __version__
from sampan.apiserver.discovery import (
    AGGREGATED_TYPE,
    Served,
    build_aggregated,
    build_core_versions,
    build_group,
    build_groups,
    build_resources,
)
from sampan.apiserver.messages import Reply, Request, make_reply, make_text
from sampan.apiserver.negotiate import Form, negotiate
from sampan.apiserver.openapi import build_documents, build_index, content_hash
from sampan.machinery.errors import ApiError, MethodNotAllowed, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import ListOptions, Store

KUBERNETES = ("1", "32")
"""The Kubernetes version whose API this is: clients compare it with their own."""


class Directory:
    """Answers the paths that are about the server itself."""

    def __init__(
        self,
        served: tuple[Served, ...],
        store: Store,
        metrics: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._served = served
        self._store = store
        self._metrics = metrics
        self._documents: asyncio.Future[dict[str, bytes]] | None = None

    async def answer(self, request: Request) -> Reply:
        """Return the reply of a path that names no resource; raise NotFound."""
        path = request.path.rstrip("/") or "/"
        reply = await self._reply(request, path)
        if reply is None:
            raise NotFound(
                f'the server could not find the requested resource: nothing is served at "{path}";'
                ' "kubectl api-resources" lists what is'
            )
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(
                "the server does not allow this method on the requested resource: "
                f"{request.method} is not for {path}"
            )
        return reply

    async def _reply(self, request: Request, path: str) -> Reply | None:
        if path in ("/healthz", "/livez", "/readyz"):
            return await self._health(path)
        if path == "/metrics" and self._metrics is not None:
            return make_text("\n".join([*self._metrics(), ""]))
        if path == "/version":
            return make_reply(build_version())
        if path in ("/api", "/apis"):
            return self._roots(request, core=path == "/api")
        if path == "/openapi/v3" or path.startswith("/openapi/v3/"):
            return await self._openapi(request, path.removeprefix("/openapi/v3").strip("/"))
        body = self._document(path.strip("/").split("/"))
        return make_reply(body) if body is not None else None

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

    async def _openapi(self, request: Request, name: str) -> Reply | None:
        """Return the index or one document; the client keeps a document by its hash."""
        documents = await self._built_documents()
        if not name:
            return make_reply(build_index(documents))
        content = documents.get(name)
        if content is None:
            return None
        tag = f'"{content_hash(content)}"'
        headers = (("ETag", tag), ("Vary", "Accept"))
        if tag in request.header("if-none-match"):
            return Reply(304, headers=headers)
        return Reply(200, content, headers=headers)

    async def _built_documents(self) -> dict[str, bytes]:
        """Return the documents, built in a thread when first asked for: it takes a while."""
        if self._documents is None or _is_lost(self._documents):
            self._documents = asyncio.ensure_future(
                asyncio.to_thread(build_documents, self._served)
            )
        return await asyncio.shield(self._documents)

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
    """Return the answer to `/version`, read from this machine.

    All fields of Kubernetes's `version.Info` are there, since typed clients insist on them; what
    is Go's own is empty.
    """
    major, minor = KUBERNETES
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+sampan-{__version__}",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{machine}",
    }


def _is_lost(task: asyncio.Future[dict[str, bytes]]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
