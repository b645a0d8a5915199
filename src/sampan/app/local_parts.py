"""The parts of the local daemon, started in order and stopped in the opposite one. Wiring only."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from sampan.api.config import Config, parse_cached
from sampan.api.scheme import REGISTRY
from sampan.apiserver.certificates import apply_certificates
from sampan.apiserver.server import Answers, ApiServer
from sampan.apiserver.server import Settings as ApiSettings
from sampan.apiserver.token import apply_token
from sampan.app.activation import Activation
from sampan.app.audit_settings import make_audit_trail
from sampan.app.autoscaling import make_autoscaling
from sampan.app.bootstrap import apply_bootstrap
from sampan.app.cache_keeping import start_cache_keeping
from sampan.app.controllers import run_controllers
from sampan.app.daemon_settings import Settings
from sampan.app.fetch_environment import select_fetch_environment
from sampan.app.garbage import short_collections
from sampan.app.operator_settings import OperatorSettings, read_operator_settings
from sampan.app.replica_usage import ReplicaUsage
from sampan.app.replicas import Replicas
from sampan.app.signals import make_signals
from sampan.app.turns import short_turns
from sampan.controllers.gather import SERVICES, Sources
from sampan.controllers.guarding import Guard
from sampan.controllers.history import Histories
from sampan.controllers.unhonoured import unhonoured
from sampan.controllers.why import explain
from sampan.controllers.why_object import explain_any
from sampan.gateway.listener import Gateway
from sampan.gateway.outcomes import OutcomeReader
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.traffic import TrafficReader
from sampan.machinery.clock import SystemClock
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.machinery.store_sqlite import SqliteStore, StoreFault
from sampan.plan.types import Gateway as GatewayAddress
from sampan.plan.types import ServiceKey
from sampan.platforms.local.changes import Changes
from sampan.platforms.local.counted_door import CountedDoor
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.platforms.local.image_table import read_image_table
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_access import StoreAccess
from sampan.platforms.local.outcomes import LocalOutcomes
from sampan.platforms.local.platform import LocalPlatform
from sampan.platforms.local.platform_parts import LocalSettings, Parts
from sampan.platforms.local.references import StoreReferences
from sampan.platforms.local.traces import add_tracing, is_traced
from sampan.platforms.local.zygote import ZygotePool
from sampan.storage.fetch import fetch

log = logging.getLogger("sampan")

API_HOST = "127.0.0.1"


class ApiPortTaken(OSError):
    """The API server's port cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A started daemon: what is left is to serve the API on the socket."""

    api: ApiServer
    socket: socket.socket
    tls: ssl.SSLContext
    token: str
    authority: bytes


@asynccontextmanager
async def started(settings: Settings, zygotes: ZygotePool) -> AsyncIterator[Daemon]:
    """Start everything; in the end stop it, leaving no process behind.

    The caller holds the lock of the state folder.
    The API is served only after each service has been looked at once: what a client reads of an
    earlier daemon's services is true again by then.
    """
    paths, clock = settings.paths, SystemClock()
    operator = read_operator_settings(paths.settings_file, settings.environ)
    async with AsyncExitStack() as stack:
        stack.enter_context(short_collections())
        stack.enter_context(short_turns())
        paths.daemon_file.unlink(missing_ok=True)
        sock = stack.enter_context(_listen(settings.api_port))
        store = SqliteStore(paths.state / "store.db", REGISTRY, clock)
        stack.push_async_callback(store.close)
        if store.fault:
            log.error("%s", store.fault)
        try:
            await apply_bootstrap(store)
        except StoreFault as error:  # it can be read: what runs goes on, and the API tells why
            log.warning("nothing new could be stored: %s", error.message)
        changes, pod_changes = Changes(), Changes()

        def changed(service: ServiceKey) -> None:
            changes.notify(service)
            pod_changes.notify(service)

        launcher = Launcher(paths.state, clock, changed, zygotes=zygotes)
        gateway = Gateway(paths.state / "gateway", GatewaySettings(port=settings.port), clock)
        door = CountedDoor(gateway)
        activation = Activation(gateway, launcher)
        signals = make_signals(
            settings.port, TrafficReader(paths.state / "gateway"), door.own, clock, launcher
        )
        autoscaling = make_autoscaling(store, signals, changes, activation.activator)
        activation.wake = autoscaling.wake
        platform = await _start_platform(
            stack, settings, operator, (store, launcher, changes, activation, door)
        )
        guard = _make_guard(settings, clock, changes)
        address, histories = GatewayAddress(port=settings.port), Histories(store)
        sources = Sources(
            store, platform, clock, address, _parse_config, autoscaling.scales, histories, guard
        )
        activation.explain = partial(explain, sources)
        await run_controllers(stack, sources, changes, autoscaling)
        certificates = apply_certificates(paths.state / "certificates", clock.now())
        token = apply_token(paths.state / "token")
        api = ApiServer(
            store,
            REGISTRY,
            token,
            Replicas(launcher, pod_changes),
            partial(unhonoured, sources),
            ApiSettings(
                clock=clock,
                answers=_make_answers(sources),
                account_key=apply_token(paths.state / "account-key").encode(),
                metrics=ReplicaUsage(launcher, clock),
                own_metrics=activation.cold_starts.render,
                audit=make_audit_trail(paths.state / "audit.log", settings.environ),
            ),
        )
        authority = certificates.authority.read_bytes()
        yield Daemon(api, sock, certificates.context(), token, authority)


def _make_guard(settings: Settings, clock: SystemClock, changes: Changes) -> Guard:
    outcomes = LocalOutcomes(OutcomeReader(settings.paths.state / "gateway"), clock)
    return Guard(outcomes, clock, changes.notify)


def _read_images(settings: Settings) -> Callable[[], ImageTable]:
    """Return what gives the image table; where traces are asked for, servers can send them."""
    read = read_image_table(settings.paths.images_file)
    return (lambda: add_tracing(read())) if is_traced(settings.environ) else read


async def _start_platform(
    stack: AsyncExitStack,
    settings: Settings,
    operator: OperatorSettings,
    parts: tuple[Store, Launcher, Changes, Activation, CountedDoor],
) -> LocalPlatform:
    store, launcher, changes, activation, door = parts
    paths, clock = settings.paths, SystemClock()
    layout = Layout(paths.state, paths.cache, paths.volumes)
    told = select_fetch_environment(settings.environ)
    options = replace(operator.fetch_options(layout.models, layout.volumes), environment=told)
    # Stopped in this order: requests end at the gateway before the replicas behind it go.
    stack.push_async_callback(launcher.close, stop_all=True)
    await activation.start(stack)
    platform = LocalPlatform(
        LocalSettings(
            layout=layout,
            environ=settings.environ,
            images=_read_images(settings),
            options=options,
        ),
        Parts(
            launcher=launcher,
            gateway=door,
            references=StoreReferences(store),
            environments=EnvironmentCache(layout.environments, current_interpreter(), clock),
            fetch=fetch,
            clock=clock,
            refused=activation.activator.refuse,
            access=StoreAccess(store),
        ),
        changes,
    )
    activation.no_room = platform.no_room
    stack.push_async_callback(platform.close)
    await platform.start()
    await start_cache_keeping(stack, layout, options, clock)
    return platform


def _parse_config(config_map: JsonObject | None) -> Config:
    return parse_cached((config_map or {}).get("data")).config


def _make_answers(sources: Sources) -> Answers:
    """Return who answers `why` of each kind: services have a chain of their own."""
    others = (r.id for r in REGISTRY if r.id not in (SERVICES, "events"))
    answers = {(resource, "why"): partial(_why_any, sources, resource) for resource in others}
    return {**answers, (SERVICES, "why"): partial(_why, sources)}


async def _why_any(sources: Sources, resource: str, key: Key) -> JsonObject:
    return await explain_any(sources, Key(resource, key.namespace, key.name))


async def _why(sources: Sources, key: Key) -> JsonObject:
    return await explain(sources, ServiceKey(key.namespace, key.name))


def _listen(port: int) -> socket.socket:
    try:
        sock = socket.create_server((API_HOST, port), backlog=128)
    except (OSError, OverflowError) as error:
        raise ApiPortTaken(
            f"port {port} on {API_HOST} cannot be had for the API server "
            f"({getattr(error, 'strerror', None) or error}); choose another with --api-port, "
            "or 0 for a free one"
        ) from error
    sock.setblocking(False)
    return sock
