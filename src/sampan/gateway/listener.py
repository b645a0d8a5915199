"""The gateway: Envoy kept alive, and the route table handed to it.

Thin: which files there are is decided in `sampan.gateway.config`, which routes are left out in
`sampan.gateway.validation`; here they meet the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sampan.gateway.ask import Address, ask
from sampan.gateway.binary import Field
from sampan.gateway.config import (
    BOOTSTRAP,
    LISTENERS_FILE,
    ConfigFile,
    Doors,
    make_component_listeners,
    make_door_listeners,
    render_bootstrap,
    render_listeners,
)
from sampan.gateway.delivery import Delivery
from sampan.gateway.envoy import (
    Envoy,
    choose_workers,
    envoy_binary,
    first_complaint,
    make_command,
)
from sampan.gateway.envoy_beside import EnvoyBeside
from sampan.gateway.errors import GatewayError
from sampan.gateway.folder import folder_of
from sampan.gateway.health import Health
from sampan.gateway.health_reader import HealthReader
from sampan.gateway.held import ASKS, ASKS_BESIDE, SOCKET
from sampan.gateway.ports import is_port_free, observe_port_holder, observe_twin_addresses
from sampan.gateway.process import observe_cpu_ticks
from sampan.gateway.rendering import Rendering, make_clusters_file
from sampan.gateway.settings import GatewaySettings, validate_settings
from sampan.gateway.table import RouteTable, TableRoute
from sampan.gateway.validation import Refusal, Validation, select_ports
from sampan.machinery.clock import Clock, SystemClock
from sampan.machinery.ending import end_task

# Seconds before each restart of an Envoy that keeps ending; a run of 10 s starts the row anew.
_BACK_OFF = (0.0, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
_STABLE_SECONDS = 10.0
# While Envoy is away another program's connection may have got its port as its own end. To look is
# cheap, and whoever asks meanwhile is lost: no back-off grows for it.
_PORT_SECONDS = 0.1
_HEALTH_SECONDS = 1.0
_FRONT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a real request through the gateway got. `status` is 0 where nothing answered."""

    passed: bool
    status: int
    message: str


class Follower(Protocol):
    """Who follows what Envoy serves (`sampan.activator.activator.Activator`)."""

    def leaving(self, table: RouteTable) -> float:
        """Envoy is about to be given a table, and may lose any endpoint that is not in it.

        Return for how many seconds it should keep what it has: somebody is on the way there.
        """

    def reached(self, table: RouteTable) -> None:
        """Envoy has the clusters of a table, and its routes soon."""

    def routed(self, table: RouteTable) -> None:
        """Envoy has the routes of a table as well."""


class Gateway:
    """The front door of the local platform.

    Envoy outlives this object unless `close` is called: `start` in a new process adopts it with
    all that it serves. One gateway at a time may use `state_dir` (the daemon's lock sees to it).
    """

    def __init__(
        self,
        state_dir: Path,
        settings: GatewaySettings | None = None,
        clock: Clock | None = None,
        *,
        beside: bool = False,
    ) -> None:
        """`beside`: Envoy is run by somebody else (`envoy_beside`)."""
        self.settings = settings or GatewaySettings()
        self.restarts = 0
        """How often Envoy had to be started again."""
        self.follower: Follower | None = None
        """Who is told of each table as Envoy takes it."""
        self.last_error: GatewayError | None = None
        """Why Envoy could not be started again, while it cannot."""
        self._clock = clock or SystemClock()
        self._folder = folder_of(state_dir)
        self._envoy = EnvoyBeside(self._folder) if beside else Envoy(self._folder)
        self._delivery = Delivery(self._folder, self._envoy, self._clock)
        self._rendering = Rendering(self.settings)
        self._validation = Validation()
        self._clusters: Mapping[str, Field] | None = None
        """Those that Envoy was last given, by name; None where only the folder knows."""
        self._clusters_file: ConfigFile | None = None
        """The file of those."""
        self._command: tuple[str, ...] = ()
        self._twins: tuple[str, ...] = ()
        asks = ASKS_BESIDE if beside else ASKS
        self._bootstrap = render_bootstrap(str(self._folder.root), asks)
        self._keeper: asyncio.Task[None] | None = None
        self._applying = asyncio.Lock()
        self._applied: tuple[RouteTable, tuple[Refusal, ...]] | None = None
        self._asking = asyncio.Lock()
        self._reader = HealthReader(self._delivery.admin_text)
        self._health: Health = {}
        self._health_at = float("-inf")

    @property
    def activator_socket(self) -> Path:
        """Where Envoy asks whether a held request may go."""
        return self._folder.root / SOCKET

    @property
    def pid(self) -> int:
        """Envoy's pid; 0 while there is none."""
        identity = self._envoy.identity
        return identity.pid if identity and self._envoy.is_running() else 0

    async def start(self) -> None:
        """Start Envoy, or adopt the one that runs; return when it listens.

        A new Envoy answers 503 until the first `apply`: endpoints of an earlier life may be
        somebody else's ports by now. Raise GatewayError.
        """
        mistakes = validate_settings(self.settings)
        if mistakes:
            raise GatewayError("InvalidSettings", "; ".join(mistakes))
        self._folder.prepare()
        self._twins = observe_twin_addresses(self.settings.host)
        workers = choose_workers(self.settings.workers)
        self._command = make_command(envoy_binary(), self._folder.root / BOOTSTRAP, workers)
        adopted = self._envoy.adopt(self._command, self._bootstrap)
        try:
            await (self._take_over() if adopted else self._start_anew())
        except BaseException:
            await (self.detach() if adopted else self.close())
            raise
        self._keeper = asyncio.create_task(self._keep(), name="gateway")

    async def apply(self, table: RouteTable) -> tuple[Refusal, ...]:
        """Make Envoy serve the table; return what of it was left out, when Envoy serves the rest.

        New endpoints have been asked for their health by then. Raise GatewayError.
        """
        async with self._applying:
            if self._applied and self._applied[0] == table:
                return self._applied[1]
            valid, refused = self._validation.select(table)
            valid, taken = select_ports(valid, self._may_listen)
            refusals = (*refused, *taken)
            # Nothing is known of what Envoy serves if this is cancelled or refused half-way.
            self._applied = None
            await self._hand_over(valid)
            if self.follower:
                self.follower.routed(valid)
            self._applied = (table, refusals)
            return refusals

    async def verify(self, route: TableRoute, path: str, timeout_seconds: float = 5.0) -> Verdict:
        """Send a real `GET path` through Envoy to a route, as a client would."""
        address = Address(host=self.settings.host, port=self.settings.port)
        host = route.hosts[0] if route.hosts else "localhost"
        target = path if route.hosts else route.path_prefix + path
        try:
            answer = await ask(address, target, host, timeout_seconds)
        except TimeoutError:
            return Verdict(False, 0, f'no answer to "{path}" within {timeout_seconds:g} s')
        except OSError as error:
            return Verdict(False, 0, f"the gateway cannot be reached: {error}")
        text = bytes(answer.body[:500]).decode(errors="replace")
        return Verdict(200 <= answer.status < 400, answer.status, text)

    async def answers(self) -> bool:
        """Tell whether the front door answers a request at all, whatever it says."""
        address = Address(host=self.settings.host, port=self.settings.port)
        try:
            answer = await ask(address, "/", "localhost", _FRONT_SECONDS)
        except (OSError, TimeoutError):
            return False
        return answer.status != 0

    def cpu_ticks(self) -> int:
        """Return the CPU time that Envoy has used, in clock ticks: one that hangs uses none."""
        return observe_cpu_ticks(self.pid)

    async def health(self) -> Health:
        """Return Envoy's view of every endpoint, at most a second old; raise GatewayError.

        While nothing changes it is the same value each time.
        """
        async with self._asking:
            if self._clock.now() - self._health_at >= _HEALTH_SECONDS:
                try:
                    self._health = await self._reader.read()
                except (OSError, TimeoutError) as error:
                    raise GatewayError(
                        "AdminUnreachable",
                        f"Envoy does not answer on its admin socket: {error or 'timeout'}; it is"
                        " being started again, try again in a second",
                    ) from error
                self._health_at = self._clock.now()
            return self._health

    async def active(self, cluster: str) -> int:
        """Return how many requests a workload has under way now, gRPC ones too; GatewayError."""
        try:
            return await self._delivery.active(cluster)
        except (OSError, TimeoutError) as error:
            raise GatewayError(
                "AdminUnreachable",
                f"Envoy does not answer on its admin socket: {error or 'timeout'}; it is"
                " being started again, try again in a second",
            ) from error

    async def send_away(self, *, away: bool = True) -> None:
        """Have Envoy ask each client, with its next answer, to come by another connection, which
        may lead elsewhere; or not any more. What is under way is finished. Raise OSError or
        TimeoutError.
        """
        await self._delivery.command(f"/healthcheck/{'fail' if away else 'ok'}")

    async def detach(self) -> None:
        """Stop watching; Envoy goes on serving for the next daemon to adopt."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await end_task(keeper)

    async def close(self) -> None:
        """End Envoy and all that belongs to it."""
        await self.detach()
        await self._envoy.stop()

    async def _take_over(self) -> None:
        """The listeners of components stay until the first table: processes ask there."""
        doors = Doors(self._twins, self._folder.component_listeners())
        listeners = render_listeners(self.settings, str(self._folder.root), doors)
        if self._folder.read(LISTENERS_FILE) != listeners.body:
            self._check_port()
        await self._delivery.deliver([listeners])

    async def _start_anew(self) -> None:
        await self._envoy.stop()
        self._check_port()
        folder = str(self._folder.root)
        listeners = render_listeners(self.settings, folder, Doors(self._twins))
        routes = self._rendering.routes(RouteTable(), starting=True)
        clusters = make_clusters_file({})
        for file in (listeners, routes, clusters):
            self._folder.hand_changed(file)
        mark = self._envoy.log_size()
        self._envoy.start(self._command, self._bootstrap)
        taken = asyncio.create_task(self._delivery.deliver([clusters, listeners, routes]))
        ended = asyncio.create_task(self._envoy.wait())
        try:
            await asyncio.wait({taken, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not taken.done():
                raise _exited(ended.result(), self._envoy.log_since(mark))
            taken.result()
        finally:
            taken.cancel()
            ended.cancel()
            await asyncio.gather(taken, ended, return_exceptions=True)

    async def _hand_over(self, table: RouteTable) -> None:
        """Deliver a valid table.

        Clusters of the table beside those of the one before, then routes and the listeners of
        components, which hold routes too, then the removal of clusters that none names any more:
        at no moment does a route lead nowhere.
        """
        before, self._clusters = self._clusters, None
        clusters = self._rendering.clusters(table)
        both, alone = self._make_clusters_files(clusters, before)
        if self.follower:
            await self._clock.sleep(self.follower.leaving(table))
        await self._delivery.deliver([both])
        if self.follower:
            self.follower.reached(table)
        folder = str(self._folder.root)
        made = make_component_listeners(table, self.settings)
        made += make_door_listeners(table, self.settings, folder)
        listeners = render_listeners(self.settings, folder, Doors(self._twins, made))
        await self._delivery.deliver([self._rendering.routes(table), listeners])
        await self._delivery.deliver([alone])
        self._clusters, self._clusters_file = clusters, alone
        known = before or {}
        self._reader.forget(n for n, field in clusters.items() if known.get(n) != field)

    def _make_clusters_files(
        self, clusters: Mapping[str, Field], before: Mapping[str, Field] | None
    ) -> tuple[ConfigFile, ConfigFile]:
        """Return the clusters beside those of the table before, and alone."""
        if before == clusters and self._clusters_file is not None:
            return self._clusters_file, self._clusters_file
        keep = self._folder.clusters() if before is None else before
        alone = make_clusters_file(clusters)
        both = alone if keep.keys() <= clusters.keys() else make_clusters_file(clusters, keep)
        return both, alone

    async def _keep(self) -> None:
        """Start Envoy again whenever it ends; it finds its last configuration on disk."""
        failures = 0
        while True:
            began = self._clock.now()
            await self._envoy.wait()
            stable = self._clock.now() - began >= _STABLE_SECONDS
            failures = 0 if stable else min(failures + 1, len(_BACK_OFF) - 1)
            await self._clock.sleep(_BACK_OFF[failures])
            self._start_again()
            while self.last_error and self._taken_host():
                await self._clock.sleep(_PORT_SECONDS)

    def _start_again(self) -> None:
        self._envoy.identity = None
        self._reader.forget_all()
        try:
            self._check_port()
            self._envoy.start(self._command, self._bootstrap)
        except OSError as error:
            self.last_error = GatewayError("EnvoyExited", f"Envoy cannot be started: {error}")
        except GatewayError as error:
            self.last_error = error
        else:
            self.restarts += 1
            self.last_error = None

    def _may_listen(self, port: int) -> bool:
        """Return whether a component's port is ours already, or free."""
        return port in self._folder.component_ports() or is_port_free(self.settings.host, port)

    def _taken_host(self) -> str:
        """Return the address of ours at which somebody has our port; "": nobody."""
        hosts = (self.settings.host, *self._twins)
        return next((host for host in hosts if not is_port_free(host, self.settings.port)), "")

    def _check_port(self) -> None:
        port, host = self.settings.port, self._taken_host()
        if not host:
            return
        holder = observe_port_holder(port)
        if holder and holder.pid == self.pid:
            return
        by = f'process {holder.pid} ("{holder.command}")' if holder else "another process"
        raise GatewayError(
            "PortInUse",
            f"port {port} on {host} is taken by {by}; end it, or choose another port with --port",
        )


def _exited(code: int | None, log: str) -> GatewayError:
    return GatewayError(
        "EnvoyExited",
        f"Envoy ended with code {code} at its start, saying: {first_complaint(log) or 'nothing'};"
        ' "sampan doctor" checks what it needs',
    )
