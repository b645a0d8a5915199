"""The API server: from a request to its reply, over any store and registry."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sampan.apiserver.admission import Admission, ExtraWarnings
from sampan.apiserver.call import Call
from sampan.apiserver.directory import Directory
from sampan.apiserver.guard import Guard
from sampan.apiserver.listener import Listener
from sampan.apiserver.messages import Reply, Request, make_error
from sampan.apiserver.namespaces import Namespaces
from sampan.apiserver.patching import Patcher
from sampan.apiserver.reading import Reader
from sampan.apiserver.replicas import PODS, ReplicaSource, ReplicaView
from sampan.apiserver.route import Route, parse_route
from sampan.apiserver.writing import Writer
from sampan.machinery.clock import Clock, SystemClock
from sampan.machinery.errors import ApiError, MethodNotAllowed, NotFound
from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.machinery.store import Key, Store

log = logging.getLogger(__name__)

Verb: TypeAlias = Callable[[Call], Awaitable[Reply]]

CONFIGURATION = Key("configmaps", "kserve", "inferenceservice-config")
"""The ConfigMap whose data admission is given (KServe's controller namespace and name)."""


def no_warnings(_obj: JsonObject) -> list[str]:
    """Return none: a platform that honours every field."""
    return []


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server may be told besides its parts. `hosts`, `origins`: the guard lets them pass."""

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    configuration: Key = CONFIGURATION
    clock: Clock = field(default_factory=SystemClock)


DEFAULT_SETTINGS = Settings()


class ApiServer:
    """Serves the resources of a registry to kubectl and other Kubernetes clients."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        token: str,
        replicas: ReplicaSource | None = None,
        extra_warnings: ExtraWarnings = no_warnings,
        settings: Settings = DEFAULT_SETTINGS,
    ) -> None:
        clock = settings.clock
        self._store = store
        self._settings = settings
        self._stopping = asyncio.Event()
        self._listener: Listener | None = None
        self._resources = {r.id: r for r in _with_pods(registry, replicas)}
        self._guard = Guard(token, settings.hosts, settings.origins)
        self._directory = Directory(tuple(self._resources.values()), store)
        self._namespaces = Namespaces(store, registry, clock)
        view = ReplicaView(replicas, clock) if replicas else None
        reader = Reader(store, view, clock, self._stopping)
        admission = Admission(self._configuration, extra_warnings)
        writer = Writer(store, admission, self._namespaces, clock)
        self._verbs = _verbs(reader, writer, Patcher(store, writer))

    async def start(self) -> None:
        """Make what is always there (the namespaces `default` and `kserve`)."""
        await self._namespaces.start()

    async def serve(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Start, then answer on a listening socket until `stop`; watches end, requests finish.

        With `tls` the same port speaks HTTPS as well, which kubectl needs to send its token.
        """
        await self.start()
        self._listener = Listener(self.handle, tls)
        try:
            if not self._stopping.is_set():
                await self._listener.serve(sock)
        finally:
            await self._namespaces.stop()

    def stop(self) -> None:
        """Ask `serve` to end."""
        self._stopping.set()
        if self._listener is not None:
            self._listener.stop()

    async def handle(self, request: Request) -> Reply:
        """Return the reply to a request; errors become Status replies, bugs a logged 500."""
        try:
            self._guard.check(request)
            return await self._reply(request)
        except ApiError as error:
            return make_error(error)
        except Exception:
            log.exception("a mistake of the server at %s %s", request.method, request.path)
            return make_error(
                ApiError(
                    f"a mistake of the server at {request.method} {request.path}; "
                    "its log has the details"
                )
            )

    async def _reply(self, request: Request) -> Reply:
        route = parse_route(request.path)
        if route is None:
            return await self._directory.answer(request)
        resource = self._resources.get(route.resource)
        if resource is None or resource.version != route.version:
            return await self._directory.answer(request)
        call = Call(request, route, resource)
        return await self._verb(call)(call)

    def _verb(self, call: Call) -> Verb:
        kind = _target(call.route, call.resource)
        verb = self._verbs.get((call.request.method, kind))
        changes = call.request.method not in ("GET", "HEAD")
        if verb is None or (changes and call.resource.read_only):
            raise _not_allowed(call)
        if call.resource.namespaced and not call.route.namespace and (changes or call.route.name):
            raise _not_allowed(call)
        return verb

    async def _configuration(self) -> Mapping[str, str]:
        try:
            found = await self._store.get(self._settings.configuration)
        except NotFound:
            return {}
        return found.get("data") or {}


def _verbs(reader: Reader, writer: Writer, patcher: Patcher) -> dict[tuple[str, str], Verb]:
    return {
        ("GET", "collection"): reader.list,
        ("POST", "collection"): writer.create,
        ("DELETE", "collection"): writer.delete_collection,
        ("GET", "object"): reader.get,
        ("PUT", "object"): writer.update,
        ("PATCH", "object"): patcher.patch,
        ("DELETE", "object"): writer.delete,
        ("GET", "status"): reader.get,
        ("PUT", "status"): writer.update,
        ("PATCH", "status"): patcher.patch,
        ("GET", "log"): reader.log,
    }


def _target(route: Route, resource: Resource) -> str:
    if not route.subresource:
        return "object" if route.name else "collection"
    served = {"status"} if resource.status_subresource else set()
    served |= {"log"} if resource.id == PODS.id else set()
    if route.subresource not in served:
        known = ", ".join(f'"{s}"' for s in sorted(served)) or "none"
        raise NotFound(
            f'the server could not find the requested resource: "{resource.id}" has no '
            f'subresource "{route.subresource}"; served: {known}'
        )
    return route.subresource


def _not_allowed(call: Call) -> MethodNotAllowed:
    why = f"{call.request.method} is not for {call.request.path}"
    if call.resource.read_only:
        why = f'"{call.resource.id}" are views of what runs; change the object that owns them'
    return MethodNotAllowed(
        f"the server does not allow this method on the requested resource: {why}"
    )


def _with_pods(registry: Registry, replicas: ReplicaSource | None) -> tuple[Resource, ...]:
    """Return the served resources; pods only where a platform shows replicas."""
    found = tuple(r for r in registry if r.id != PODS.id)
    return (*found, PODS) if replicas is not None else found
