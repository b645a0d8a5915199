"""The activator of a cluster as a process: connection, gateway, lease, health. Wiring only.

Exit codes: 0 asked to stop, 2 usage, 3 the system (no cluster, a port that is taken, no Envoy).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator

from sampan.activator.listener import serve
from sampan.app.activation_on_cluster import ClusterActivation, Place
from sampan.app.activation_peers import PATH, Peers
from sampan.app.activation_signals import ClusterSignals
from sampan.app.activator_arguments import Options, parse
from sampan.app.activator_metrics import Counts, render_activation
from sampan.app.operator_health import Health
from sampan.app.serve_observation import make_log_formatter
from sampan.app.serve_socket import Address, bind
from sampan.gateway.errors import GatewayError
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.traffic import TrafficReader
from sampan.machinery.clock import SystemClock
from sampan.machinery.events import EventRecorder
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import ConfigurationError, Connection, connect
from sampan.operator.election import Election
from sampan.operator.serverless import SELECTORS, ServerlessCluster
from sampan.platforms.kubernetes.kinds import LEASES
from sampan.platforms.kubernetes.serverless_slices import Whereabouts, select_peers
from sampan.platforms.kubernetes.serverless_table import ACTIVATOR
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response

logger = logging.getLogger("sampan.activator")

AUTOSCALER = "sampan-autoscaler"
_DRAIN_SECONDS = 1.0


def main(argv: list[str] | None = None) -> int:
    """Run until a signal comes; return the exit code. `argv` without the program's name."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_log_formatter("text"))
    logging.basicConfig(level="INFO", handlers=[handler])
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        connection = connect(options.kubeconfig, options.context, ACTIVATOR)
        health = bind(Address(), options.host, options.health_port)
    except (ConfigurationError, OSError) as error:
        logger.error("%s", error)  # noqa: TRY400  # told whole: no trace of ours
        return 3
    return asyncio.run(_run(ActivatorProcess(options, connection), health))


async def _run(process: ActivatorProcess, health: socket.socket) -> int:
    """SIGTERM lets those who are there be answered; SIGINT, or a second signal, ends it now."""
    leave, stop = asyncio.Event(), asyncio.Event()

    def hear() -> None:
        (stop if leave.is_set() else leave).set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, hear)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    working = asyncio.ensure_future(process.run(health))
    leaving = asyncio.ensure_future(process.leave(leave))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, leaving, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in (working, leaving, stopping):
        task.cancel()
    try:
        await working
    except asyncio.CancelledError:
        logger.info("stopped: the lease is given back")
    except GatewayError as error:
        logger.error("%s", error.message)  # noqa: TRY400  # told whole: no trace of ours
        return 3
    return 0


class ActivatorProcess:
    """One activator, its gateway and its doors."""

    def __init__(self, options: Options, connection: Connection) -> None:
        self._clock = clock = SystemClock()
        settings = GatewaySettings(port=options.front_port, door_host=options.host)
        self._gateway = Gateway(options.folder, settings, beside=options.envoy_beside)
        store = ClusterStore(connection, RESOURCES, SELECTORS)
        self._options = options
        self._peers = Peers(clock, options.identity, self._where)
        signals = ClusterSignals(TrafficReader(options.folder), self._peers)
        place = Place(options.namespace, options.doors)
        self.activation = ClusterActivation(self._gateway, signals, self._peers, clock, place)
        self._cluster = ServerlessCluster(store, clock, self.activation.changed)
        self.activation.cluster = self._cluster
        self.activation.events.recorder = EventRecorder(store, clock, AUTOSCALER)
        lease = Key(LEASES.id, options.namespace, ACTIVATOR)
        self._election = Election(store, clock, lease, options.identity)
        self._electing: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.health = Health(self._waits_for, self._measure)

    async def run(self, health: socket.socket) -> None:
        """Serve and act until cancelled."""
        listener = Listener(self._submit)
        await listener.listen_on(health)
        logger.info("health and metrics on http://%s:%s", *listener.address)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._cluster.store.close)
            stack.push_async_callback(listener.drain, 0)
            await self._gateway.start()
            beside = self._options.envoy_beside  # that one is ended by who runs it
            stack.push_async_callback(self._gateway.detach if beside else self._gateway.close)
            with contextlib.suppress(OSError, TimeoutError):  # one that starts sends nobody away
                await self._gateway.send_away(away=False)
            holding = await serve(self.activation.activator, self._gateway.activator_socket)
            stack.push_async_callback(holding.drain, _DRAIN_SECONDS)
            stack.push_async_callback(self.activation.activator.close)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._cluster.run())
                group.create_task(self.activation.run())
                self._electing = group.create_task(self._lead())
                group.create_task(self._follow_peers())

    async def leave(self, asked: asyncio.Event) -> None:
        """Once it is asked for, have another decide and clients go elsewhere, and return when all
        have had the time for it. Whoever waits here meanwhile is answered as ever.
        """
        await asked.wait()
        logger.info("asked to end; those who are here have %g s", self._options.drain_seconds)
        if self._electing is not None:
            self._electing.cancel()
        try:
            await self._gateway.send_away()
        except (OSError, TimeoutError) as error:
            logger.warning("Envoy sends nobody away: %s", error)
        await self._clock.sleep(self._options.drain_seconds)

    async def _lead(self) -> None:
        await self._cluster.synced()
        await self._election.run(self.activation.lead)

    async def _follow_peers(self) -> None:
        await self._cluster.synced()
        await self._peers.run()

    def _where(self) -> Whereabouts:
        """Asked for each workload at each decision: only the activators' own slices are read."""
        namespace = self._options.namespace
        return select_peers(self._cluster.slices_of(namespace, ACTIVATOR), namespace)

    def _submit(self, request: Request, reply: Reply) -> None:
        if request.target != PATH.encode():
            self.health.submit(request, reply)
            return
        task = asyncio.create_task(self._tell(reply))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, reply: Reply) -> None:
        told = await self.activation.activity(self._options.identity)
        reply(Response(200, told.encode()))

    def _waits_for(self) -> str:
        if not self._gateway.pid:
            return "Envoy"
        return "" if self.activation.ready else "the routes of the cluster's services"

    def _measure(self) -> Iterator[str]:
        counts = Counts(self._election.leading, self._peers.silent(), self._gateway.restarts)
        yield from render_activation(self.activation, counts)


if __name__ == "__main__":
    raise SystemExit(main())
