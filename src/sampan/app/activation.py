"""The activator of the local daemon: the gateway asks it, and it has the autoscaler wake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from sampan.activator.activator import Activator, World
from sampan.activator.listener import serve
from sampan.gateway.listener import Gateway
from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject
from sampan.plan.types import ServiceKey

_DRAIN_SECONDS = 1.0


class Activation:
    """The gateway with its activator. `wake` is set before `start`.

    `wake` is told a workload as `namespace/name`; `explain` tells why a service is as it is.
    """

    wake: Callable[[str], None]
    explain: Callable[[ServiceKey], Awaitable[JsonObject]] | None = None
    """Set when the rest of the platform is there; requests that a dead daemon held come sooner."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.activator = Activator(World(self._wake, gateway.active, self._reason))

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

    async def _reason(self, workload: str) -> str:
        """Return in a sentence what a workload's service waits for."""
        namespace, _, name = workload.partition("/")
        if self.explain is None:
            return "the platform has just started; try again in a second"
        try:
            told = await self.explain(ServiceKey(namespace, name.rpartition("-")[0]))
        except ApiError as error:
            return error.message
        return ": ".join(filter(None, (told["link"], told["reason"], told["message"])))
