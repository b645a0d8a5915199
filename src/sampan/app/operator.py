"""The operator as a process: connection, caches, webhooks, health. Wiring only.

Exit codes: 0 asked to stop, 2 usage, 3 the system (no cluster, a port that is taken).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sampan.api.scheme import REGISTRY
from sampan.app import operator_debug
from sampan.app.cluster_effects import cluster_warnings
from sampan.app.garbage import short_collections
from sampan.app.operator_arguments import Options, parse
from sampan.app.operator_debug import dump_on_signal
from sampan.app.operator_health import Health, Labels, Took, render_counter
from sampan.app.operator_tracing import OperatorSpans, make_tracing
from sampan.app.serve_observation import make_log_formatter
from sampan.app.serve_socket import Address, bind
from sampan.installation.options import WEBHOOK_SERVICE
from sampan.installation.rights import CONVERTED
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES, SELECTORS, Cluster
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import ConfigurationError, Connection, connect
from sampan.operator.operator import Operator, OperatorOptions
from sampan.operator.reads import CachedReads
from sampan.operator.settings import CONFIG_MAP, SettingsReader
from sampan.webhooks.certificates import service_names
from sampan.webhooks.configurations import DEFINITIONS, MUTATING, VALIDATING
from sampan.webhooks.front import Front, make_judgements
from sampan.webhooks.serving import WebhookServer
from sampan.webhooks.trust import Trust
from sampan.wire.listener import Listener

logger = logging.getLogger("sampan.operator")

LOOPBACK = "127.0.0.1"
TRUST_SECONDS = 3600.0
"""Between looks at the certificate and at who is told to trust it."""
RETRY_SECONDS = 5.0
GRACE_SECONDS = 10.0


def main(argv: list[str] | None = None) -> int:
    """Run until a signal comes; return the exit code. `argv` without the program's name."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_log_formatter("text"))
    logging.basicConfig(level="INFO", handlers=[handler])
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        connection = connect(options.kubeconfig, options.context)
        health = bind(Address(), options.host, options.health_port)
        webhooks = debug = None
        if options.webhook_port:
            webhooks = bind(Address(), options.host, options.webhook_port)
        if options.debug_port:
            debug = bind(Address(), LOOPBACK, options.debug_port)
    except (ConfigurationError, OSError) as error:
        logger.error("%s", error)  # noqa: TRY400  # told whole: no trace of ours
        return 3
    with short_collections():
        process = OperatorProcess(options, connection)
        return asyncio.run(_run(process, Doors(health, webhooks, debug)))


@dataclass(frozen=True, slots=True)
class Doors:
    """The bound sockets; None where nothing is served."""

    health: socket.socket
    webhooks: socket.socket | None = None
    debug: socket.socket | None = None


async def _run(process: OperatorProcess, doors: Doors) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    dump_on_signal(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.ensure_future(process.run(doors))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    logger.info("stopping: the lease is given back")
    for task in (working, stopping):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return 0


class OperatorProcess:
    """One operator and its doors."""

    def __init__(self, options: Options, connection: Connection) -> None:
        self._options = options
        self._connection = connection
        self._clock = SystemClock()
        extra = (MUTATING, VALIDATING, DEFINITIONS)
        store = ClusterStore(connection, Registry((*RESOURCES, *extra)), SELECTORS)
        self.cluster = Cluster(store, options.namespace)
        asked = OperatorOptions(
            options.identity,
            options.namespace,
            watched=options.watched,
            activator=options.activator,
        )
        self.operator = Operator(self.cluster, self._clock, asked, cluster_warnings)
        self._settings = SettingsReader(self.cluster.config, options.namespace)
        reviews = Took("sampan_operator_webhook_seconds", "Time to answer a review.", "path")
        self._reviews, self.took_review = reviews, reviews.note
        self._reconciles = Took(
            "sampan_operator_reconcile_seconds", "Time of a reconcile, by resource.", "resource"
        )
        self._failures: Counter[Labels] = Counter()
        self.operator.work.took = self._note_reconcile
        self._tracing = make_tracing()
        if self._tracing is not None:
            OperatorSpans(self._tracing).follow(self.operator.work, connection)
        self._waits_for = "the cluster's objects"
        self.health = Health(lambda: self._waits_for, self._measure)

    async def run(self, doors: Doors) -> None:
        """Serve and act until cancelled."""
        listener, debug = Listener(self.health.submit), Listener(operator_debug.submit)
        await listener.listen_on(doors.health)
        logger.info("health and metrics on http://%s:%s", *listener.address)
        if doors.debug is not None:
            await debug.listen_on(doors.debug)
            logger.info("stacks on http://%s:%s%s", *debug.address, operator_debug.PATH)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.operator.run())
                group.create_task(self._serve(doors.webhooks))
        finally:
            for each in (listener, debug):
                await each.drain(0)
            await self.cluster.store.close()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)

    async def _serve(self, sock: socket.socket | None) -> None:
        await self.operator.synced()
        if sock is None:
            self._waits_for = ""
            return
        options = self._options
        names = (*service_names(WEBHOOK_SERVICE, options.namespace), *options.names)
        trust = Trust(self.cluster.store, self._clock, options.namespace, names, CONVERTED)
        server = None
        try:
            while True:
                try:
                    pair = await trust.apply()
                except ApiError as error:
                    logger.warning("certificates cannot be looked after now: %s", error.message)
                    await self._clock.sleep(RETRY_SECONDS)
                    continue
                if server is None:
                    server = WebhookServer(self._front(), pair)
                    await server.serve(sock)
                    self._waits_for = ""
                    logger.info("webhooks on https://%s:%s", *server.address)
                server.show(pair)
                await self._clock.sleep(TRUST_SECONDS)
        finally:
            if server is not None:
                await server.drain(GRACE_SECONDS)

    def _front(self) -> Front:
        configuration = Key("configmaps", self._options.namespace, CONFIG_MAP)
        reads = CachedReads(self.cluster)
        front = Front(make_judgements(REGISTRY, reads, self._warn, configuration), REGISTRY)
        front.took = self.took_review
        return front

    async def _warn(self, obj: JsonObject) -> list[str]:
        settings = self._settings.read()
        found = cluster_warnings(obj, settings.config, settings.cluster)
        return [f"{path}: {sentence}" if path else sentence for path, sentence in found]

    def _note_reconcile(self, resource: str, seconds: float, failed: bool) -> None:  # a callback
        self._reconciles.note(resource, seconds)
        self._failures[("resource", resource),] += failed

    def _measure(self) -> Iterator[str]:
        leading, waiting = self.operator.election.leading, self.operator.work.waiting
        for name, text, value in (
            ("sampan_operator_leading", "1 for the operator that acts.", float(leading)),
            ("sampan_operator_queue", "Objects that wait to be looked at.", float(waiting)),
        ):
            yield from render_counter(name, text, {(): value}, "gauge")
        yield from self._reconciles.render()
        name, text = "sampan_operator_reconcile_failures_total", "Reconciles that failed."
        yield from render_counter(name, text, self._failures)
        calls: dict[Labels, float] = {
            (("verb", verb), ("resource", resource)): float(count)
            for (verb, resource), count in self._connection.calls.items()
        }
        name, text = "sampan_operator_api_calls_total", "Calls of the API server."
        yield from render_counter(name, text, calls)
        own = self.cluster.own.items()
        known: dict[Labels, float] = {(("kind", plural),): float(len(c)) for plural, c in own}
        name, text = "sampan_operator_objects", "Objects that are followed, by kind."
        yield from render_counter(name, text, known, "gauge")
        yield from self._reviews.render()


if __name__ == "__main__":
    raise SystemExit(main())
