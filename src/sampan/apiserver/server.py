"""The API server: from a request to its reply, over any store and registry."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from sampan.apiserver.access import ANONYMOUS, Access
from sampan.apiserver.account_tokens import TokenSigner
from sampan.apiserver.admission import Admission, ExtraWarnings, Warned
from sampan.apiserver.audit import AuditTrail, Exchange
from sampan.apiserver.authentication import Authenticator
from sampan.apiserver.authorization import Authorizer
from sampan.apiserver.call import Call
from sampan.apiserver.default_roles import apply_default_roles
from sampan.apiserver.directory import Directory
from sampan.apiserver.discovery import Served, make_served
from sampan.apiserver.escalation import check_escalation
from sampan.apiserver.guard import Guard
from sampan.apiserver.identity import User
from sampan.apiserver.listener import Listener
from sampan.apiserver.messages import Reply, Request, make_error, make_reply
from sampan.apiserver.namespaces import Namespaces
from sampan.apiserver.own_service import SERVICES, OwnService
from sampan.apiserver.patching import Patcher
from sampan.apiserver.pod_logs import Logs
from sampan.apiserver.pod_metrics import POD_METRICS, MetricsSource, PodMetrics
from sampan.apiserver.pod_metrics import VERBS as METRICS_VERBS
from sampan.apiserver.quotas import Quotas
from sampan.apiserver.reading import Readable, Reader
from sampan.apiserver.replicas import PODS, PodSource, ReplicaSource
from sampan.apiserver.reviews import REVIEWS, VERBS, Reviews
from sampan.apiserver.route import Route, parse_route
from sampan.apiserver.token_requests import TokenRequests
from sampan.apiserver.verbs import select_verb
from sampan.apiserver.versions import ConvertedStore
from sampan.apiserver.view import View
from sampan.apiserver.writing import Writer
from sampan.machinery.clock import Clock, SystemClock
from sampan.machinery.errors import ApiError, NotFound
from sampan.machinery.registry import (
    AdmissionContext,
    JsonObject,
    OlderVersion,
    Registry,
    Resource,
)
from sampan.machinery.store import Key, Store

log = logging.getLogger(__name__)

Verb: TypeAlias = Callable[[Call], Awaitable[Reply]]

CONFIGURATION = Key("configmaps", "kserve", "inferenceservice-config")
"""The ConfigMap whose data admission is given (KServe's controller namespace and name)."""


async def no_warnings(_obj: JsonObject) -> list[str]:
    """Return none: a platform that honours every field."""
    return []


Answers: TypeAlias = Mapping[tuple[str, str], Callable[[Key], Awaitable[JsonObject]]]
"""`(resource id, subresource) -> answer`: read-only subresources that the caller brings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server may be told besides its parts. `hosts`, `origins`: the guard lets them pass.

    `metrics`: who measures replicas, for `kubectl top`; None: that is not served.
    `own_metrics`: lines of what the daemon counts, for `/metrics`; None: that is not served.
    `audit`: where requests are written down; None: nowhere.
    `account_key` signs the tokens of ServiceAccounts; they are void once it is another.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    configuration: Key = CONFIGURATION
    clock: Clock = field(default_factory=SystemClock)
    answers: Answers = field(default_factory=dict)
    metrics: MetricsSource | None = None
    own_metrics: Callable[[], Iterable[str]] | None = None
    audit: AuditTrail | None = None
    account_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


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
        self._clock = settings.clock
        self._store = store
        self._registry = registry
        self._settings = settings
        self._stopping = asyncio.Event()
        self._listener: Listener | None = None
        self._guard = Guard(settings.hosts, settings.origins)
        self._signer = TokenSigner(settings.account_key)
        authenticator = Authenticator(store, settings.clock, self._signer, token)
        self._access = Access(authenticator, Authorizer(store), store)
        self._namespaces = Namespaces(store, registry, self._clock)
        self._own_service = OwnService()
        self._served = _served(registry, settings, shows_pods=replicas is not None)
        self._older = _older(tuple(self._served.values()))
        every = (*self._served.values(), *(served for served, _ in self._older.values()))
        self._directory = Directory(every, store, settings.own_metrics)
        grants = partial(check_escalation, self._access.authorizer)
        quotas = Quotas(store, registry)
        self._admission = Admission(self._gather, extra_warnings, grants, quotas)
        self._verbs = self._make_verbs(replicas)

    async def start(self) -> None:
        """Make what is always there: the namespaces `default` and `kserve`, the roles."""
        try:
            await self._namespaces.start()
            await apply_default_roles(self._store, self._registry)
        except ApiError as error:  # a store that takes no writes now is still worth reading
            log.warning("what is always there could not be made: %s", error.message)

    async def serve(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Start, then answer on a listening socket until `stop`; watches end, requests finish.

        With `tls` the same port speaks HTTPS as well, which kubectl needs to send its token.
        """
        await self.start()
        host, port = sock.getsockname()[:2]
        self._own_service.listen(host, port, self._clock.now())
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
        received, user = self._clock.now(), ANONYMOUS
        try:
            self._guard.check(request)
            user = await self._access.identify(request)
            reply = await self._reply(request, user)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets an answer
            reply = _make_refusal(request, error)
        if self._settings.audit is not None:
            exchange = Exchange(request, user, reply, received, self._clock.now())
            self._settings.audit.record(exchange)
        return reply

    async def _reply(self, request: Request, user: User) -> Reply:
        route = parse_route(request.path)
        served = self._served.get(route.resource) if route else None
        if route is None or served is None:
            return await self._describe(request, user)
        if served.resource.version != route.version:
            return await self._older_reply(request, route, user)
        call = Call(request, route, served.resource, user)
        verb = select_verb(call, served)
        await self._access.check_call(call, verb)
        special = (f"{served.resource.id}/{route.subresource}".rstrip("/"), verb)
        return await (self._verbs.get(special) or self._verbs["", verb])(call)

    async def _describe(self, request: Request, user: User) -> Reply:
        await self._access.check_path(user, request)
        return await self._directory.answer(request)

    async def _older_reply(self, request: Request, route: Route, user: User) -> Reply:
        """Return the reply to a request about a resource in another version than is stored."""
        found = self._older.get((route.resource, route.version))
        if found is None:
            return await self._describe(request, user)
        served, version = found
        call = Call(request, route, served.resource, user)
        verb = select_verb(call, served)
        await self._access.check_call(call, verb)
        store = ConvertedStore(self._store, version)
        return await self._make_store_verbs(store, {})["", verb](call)

    def _make_verbs(self, replicas: ReplicaSource | None) -> dict[tuple[str, str], Verb]:
        """Return who answers which verb: of a resource or subresource where named, else of all."""
        clock = self._clock
        views: dict[str, View] = {}
        if SERVICES.id not in self._registry:
            views[SERVICES.id] = View(SERVICES, self._own_service, clock)
        verbs: dict[tuple[str, str], Verb] = {}
        if replicas is not None:
            views[PODS.id] = View(PODS, PodSource(replicas), clock)
            logs = Logs(replicas, views[PODS.id], clock, self._stopping)
            verbs[f"{PODS.id}/log", "get"] = logs.get
        reviews = Reviews(self._access, tuple(self._served.values()))
        for review in REVIEWS:
            verbs[review.id, "create"] = reviews.create
        tokens = TokenRequests(self._store, clock, self._signer)
        verbs["serviceaccounts/token", "create"] = tokens.create
        for (resource, part), answer in self._settings.answers.items():
            verbs[f"{resource}/{part}", "get"] = partial(_answer, answer)
        if self._settings.metrics is not None:
            metrics = PodMetrics(self._settings.metrics, clock)
            verbs |= {(POD_METRICS.id, "list"): metrics.list, (POD_METRICS.id, "get"): metrics.get}
        return verbs | self._make_store_verbs(self._store, views)

    def _make_store_verbs(
        self, store: Store, views: Mapping[str, Readable]
    ) -> dict[tuple[str, str], Verb]:
        """Return who answers which verb of all that is stored, and of views by resource id."""
        reader = Reader(store, views, self._clock, self._stopping)
        writer = Writer(store, self._admission, self._namespaces, self._clock)
        verbs: dict[tuple[str, str], Verb] = {("", "list"): reader.list, ("", "get"): reader.get}
        verbs |= {("", "create"): writer.create, ("", "update"): writer.update}
        verbs |= {("", "delete"): writer.delete, ("", "deletecollection"): writer.delete_collection}
        verbs["", "patch"] = Patcher(store, writer).patch
        return verbs

    async def _gather(self, resource: Resource, namespace: str) -> AdmissionContext:
        try:
            found = await self._store.get(self._settings.configuration)
        except NotFound:
            found = {}
        neighbours: list[JsonObject] = []
        if resource.sees_neighbours:
            neighbours = (await self._store.list(resource.id, namespace)).items
        return AdmissionContext(found.get("data") or {}, tuple(neighbours))


def _make_refusal(request: Request, error: Exception) -> Reply:
    if isinstance(error, ApiError):
        return make_error(error)
    if isinstance(error, Warned):
        return make_error(error.error, error.warnings)
    where = f"{request.method} {request.path}"
    log.error("a mistake of the server at %s", where, exc_info=error)
    return make_error(ApiError(f"a mistake of the server at {where}; its log has the details"))


async def _answer(answer: Callable[[Key], Awaitable[JsonObject]], call: Call) -> Reply:
    return make_reply(await answer(call.key))


def _older(served: tuple[Served, ...]) -> dict[tuple[str, str], tuple[Served, OlderVersion]]:
    """Return what is served in other versions than the stored one, by id and version."""
    return {
        (one.resource.id, version.resource.version): (make_served(version.resource), version)
        for one in served
        for version in one.resource.older
    }


def _served(registry: Registry, settings: Settings, *, shows_pods: bool) -> dict[str, Served]:
    """Return what is served by resource id: the registry's, our views, and the reviews.

    Services that the registry keeps are served as they are stored, without this server's own.
    """
    views = tuple(v for v in (SERVICES, *((PODS,) if shows_pods else ())) if v.id not in registry)
    served = [make_served(r) for r in (*registry, *views)]
    served += [Served(review, VERBS) for review in REVIEWS]
    served += [Served(POD_METRICS, METRICS_VERBS)] if settings.metrics else []
    for resource, part in settings.answers:
        served = [s.with_part(part) if s.resource.id == resource else s for s in served]
    return {one.resource.id: one for one in served}
