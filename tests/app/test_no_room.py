"""A machine that is full, from the request's side: platform, gateway and activator as wired."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import httpx
from tests.platforms.local.test_platform import (
    SERVICE,
    Daemon,
    Laptop,
    laptop,  # noqa: F401  # a fixture
    make_plan,
    replicas,
)

from sampan.app.activation import Activation
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.machinery.clock import SystemClock
from sampan.plan.observed import ObservedReplica
from sampan.plan.scaling import Scale
from sampan.plan.types import Plan
from sampan.platforms.local.changes import Changes
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.platform import LocalPlatform
from sampan.platforms.local.platform_parts import LocalSettings, Parts
from sampan.platforms.local.room import Memory
from sampan.storage.base import FetchOptions

WORKLOAD = "default/iris-predictor"
FULL, FREE = Memory(8 << 30, 100 << 20), Memory(8 << 30, 4 << 30)
GPU = "nvidia.com/gpu"


def scaled(plan: Plan, count: int) -> Plan:
    """Return the plan with so many replicas wanted, and its requests held while there are none."""
    (workload,) = plan.workloads
    held = replace(workload, replicas=count, scale=Scale(count, held=True))
    return replace(plan, workloads=(held,))


@asynccontextmanager
async def asleep(laptop: Laptop, plan: Plan) -> AsyncIterator[Daemon]:  # noqa: F811  # a fixture
    """A daemon whose one service sleeps; the first request has it want one replica."""
    clock, changes = SystemClock(), Changes()
    layout = Layout(laptop.root / "state", laptop.root / "cache")
    launcher = Launcher(layout.state, clock, changes.notify)
    gateway = Gateway(layout.state / "gateway", GatewaySettings(port=laptop.port), clock)
    environments = EnvironmentCache(layout.environments, current_interpreter(), clock)
    activation = Activation(gateway, launcher)
    parts = Parts(launcher, gateway, laptop.references, environments, laptop.models.fetch, clock,
                  refused=activation.activator.refuse)  # fmt: skip
    settings = LocalSettings(
        layout, os.environ, laptop.images, FetchOptions(layout.models, layout.volumes),
        lambda _: laptop.devices, lambda: laptop.memory,
    )  # fmt: skip
    platform = LocalPlatform(settings, parts, changes)
    activation.no_room = platform.no_room
    daemon = Daemon(platform, launcher, gateway, scaled(plan, 0))

    def wake(_: str) -> None:
        daemon.plan = scaled(plan, 1)
        changes.notify(SERVICE)

    activation.wake = wake
    async with AsyncExitStack() as stack:
        stack.push_async_callback(launcher.close, stop_all=True)
        await activation.start(stack)
        stack.push_async_callback(platform.close)
        await platform.start()
        await daemon.until(lambda seen: "iris-predictor" in seen.held, 60)
        yield daemon


@asynccontextmanager
async def driven(daemon: Daemon) -> AsyncIterator[None]:
    """Have the daemon bring about its plan meanwhile."""
    driving = asyncio.create_task(daemon.until(lambda _: False, 600))
    try:
        yield
    finally:
        driving.cancel()
        with suppress(asyncio.CancelledError):
            await driving


async def ask(laptop: Laptop) -> httpx.Response:  # noqa: F811  # a fixture
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.get(f"http://127.0.0.1:{laptop.port}/serving/default/iris/")


async def test_a_full_machine_answers_503_early_and_serves_once_it_has_room(
    laptop: Laptop,  # noqa: F811  # a fixture
) -> None:
    laptop.memory = FULL
    async with asleep(laptop, make_plan(laptop)) as daemon:
        async with driven(daemon):
            answer = await ask(laptop)
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        told = answer.json()["error"]
        refused = f'no replica of "{WORKLOAD}" can be started now: InsufficientMemory: 100 MiB of'
        assert told.startswith(refused)
        again = await ask(laptop)  # nobody drives the daemon, and nobody need
        assert (again.status_code, again.json()["error"]) == (503, told)
        laptop.memory, daemon.later = FREE, 60
        async with driven(daemon):
            deadline = asyncio.get_running_loop().time() + 60
            while (answer := await ask(laptop)).status_code == 503:
                assert asyncio.get_running_loop().time() < deadline, answer.text
                await asyncio.sleep(0.1)
        assert (answer.status_code, answer.text) == (200, "one iris")


async def test_who_waits_for_a_gpu_that_another_has_is_told_who(
    laptop: Laptop,  # noqa: F811  # a fixture
) -> None:
    laptop.devices = {GPU: ["0"]}
    plan = make_plan(laptop, resources={"limits": {GPU: "2"}})
    async with asleep(laptop, plan) as daemon:
        async with driven(daemon):
            answer = await ask(laptop)
        assert answer.status_code == 503
        assert f'InsufficientDevices: 2 of "{GPU}" are asked for' in answer.json()["error"]
        assert not any(r.running for r in replicas(await daemon.platform.observe(SERVICE)))


async def test_what_is_wrong_with_the_service_itself_is_waited_for(
    laptop: Laptop,  # noqa: F811  # a fixture
) -> None:
    missing = [{"configMapRef": {"name": "not-there"}}]
    async with asleep(laptop, make_plan(laptop, envFrom=missing)) as daemon:
        async with driven(daemon):
            asking = asyncio.create_task(ask(laptop))
            async with asyncio.timeout(60):
                seen: tuple[ObservedReplica, ...] = ()
                while not any(r.load.reason == "CreateContainerConfigError" for r in seen):
                    await asyncio.sleep(0.05)
                    seen = replicas(await daemon.platform.observe(SERVICE))
        assert not asking.done()
        laptop.references.maps["not-there"] = {}
        daemon.later = 60
        async with driven(daemon):
            assert (await asking).status_code == 200
