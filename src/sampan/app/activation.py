"""The activator of the local daemon: the gateway asks it, and it has the autoscaler wake."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from sampan.activator.activator import Activator, Refusal, World
from sampan.activator.listener import serve
from sampan.activator.phases import Start
from sampan.app.cold_starts import ColdStarts
from sampan.app.operator_tracing import make_tracing
from sampan.gateway.listener import Gateway
from sampan.machinery.clock import Clock, SystemClock
from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject
from sampan.plan.observed import Link
from sampan.plan.types import ServiceKey
from sampan.platforms.local.launcher import Launcher

_DRAIN_SECONDS = 1.0
_COMPONENT = re.compile(r"(.+)-(?:predictor|transformer|explainer)(?:-.+)?")


class Activation:
    """The gateway with its activator. `wake` is set before `start`.

    `wake` is told a workload as `namespace/name`; `explain` tells why a service is as it is.
    """

    wake: Callable[[str], None]
    explain: Callable[[ServiceKey], Awaitable[JsonObject]] | None = None
    """Set when the rest of the platform is there; requests that a dead daemon held come sooner."""
    no_room: Callable[[ServiceKey, str], Link | None] = staticmethod(lambda _, __: None)
    """Why this machine has no room for a workload; set with the platform."""

    def __init__(self, gateway: Gateway, launcher: Launcher, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._gateway = gateway
        self._launcher = launcher
        self.cold_starts = ColdStarts(make_tracing())
        world = World(
            self._wake,
            gateway.active,
            self._reason,
            self._start_of,
            self.cold_starts.note,
            self._refusal,
        )
        self.activator = Activator(world)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the gateway, and the activator beside it; closing the stack ends both.

        Who waits is told so before the gateway goes.
        """
        gateway = self._gateway
        gateway.follower = self.activator
        await gateway.start()
        stack.push_async_callback(gateway.close)
        listener = await serve(self.activator, gateway.activator_socket)
        stack.push_async_callback(listener.drain, _DRAIN_SECONDS)
        stack.push_async_callback(self.activator.close)

    def _wake(self, workload: str) -> None:
        self.wake(workload)

    def _start_of(self, workload: str) -> Start | None:
        name = workload.rpartition("/")[2]
        found = self._launcher.milestones(make_service_key(workload), name)
        return Start(found.asked, found.forked, found.said, found.ready) if found else None

    def _refusal(self, workload: str) -> Refusal | None:
        link = self.no_room(make_service_key(workload), workload.rpartition("/")[2])
        if link is None:
            return None
        again = max(0.0, link.retry_at - self._clock.now())
        return Refusal(f"{link.reason}: {link.message}", again)

    async def _reason(self, workload: str) -> str:
        """Return in a sentence what a workload's service waits for."""
        if self.explain is None:
            return "the platform has just started; try again in a second"
        try:
            told = await self.explain(make_service_key(workload))
        except ApiError as error:
            return error.message
        return ": ".join(filter(None, (told["link"], told["reason"], told["message"])))


def make_service_key(workload: str) -> ServiceKey:
    """Return the service of a workload (`namespace/name-component`, a revision's name after it)."""
    namespace, _, name = workload.partition("/")
    found = _COMPONENT.fullmatch(name)
    return ServiceKey(namespace, found[1] if found else name)
