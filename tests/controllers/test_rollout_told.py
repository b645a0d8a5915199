"""A status tells the shares that the gateway serves, not those that are on their way to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sampan.cli.rollout_status import Progress, derive_progress

from .played_world import PlayedWorld

PLAIN: dict[str, str] = {}


def spec(model: str, **fields: Any) -> dict[str, Any]:
    return {
        "predictor": {
            "model": {"modelFormat": {"name": "sklearn"}, "storageUri": f"/models/{model}"},
            **fields,
        }
    }


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PlayedWorld]:
    world = PlayedWorld(tmp_path)
    await world.up()
    yield world
    await world.down()


async def shares(world: PlayedWorld) -> list[int]:
    service = await world.get("iris")
    assert service is not None
    told = service["status"]["components"]["predictor"].get("traffic") or ()
    return [int(t["percent"]) for t in told]


async def progress(world: PlayedWorld) -> Progress:
    service = await world.get("iris")
    assert service is not None
    return derive_progress(service, "predictor")


async def until_done(world: PlayedWorld, *wanted: int) -> None:
    for _ in range(60):
        if (await progress(world)).done and await shares(world) == list(wanted):
            return
        await world.advance(1)
    raise AssertionError(await progress(world))


async def test_a_rollout_is_done_only_when_the_gateway_has_taken_it(
    world: PlayedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put("iris", spec("a"), PLAIN)
    await world.advance(2)
    await until_done(world, 100)
    await world.put("iris", spec("b", canaryTrafficPercent=20), PLAIN)
    await until_done(world, 20, 80)

    takes, given = asyncio.Event(), world.door.apply

    async def slowly(table: Any) -> Any:
        await takes.wait()
        return await given(table)

    monkeypatch.setattr(world.door, "apply", slowly)
    await world.put("iris", spec("b", canaryTrafficPercent=60), PLAIN)
    await world.advance(10)
    service = await world.get("iris")
    assert service is not None
    assert service["status"]["observedGeneration"] == service["metadata"]["generation"]
    assert await shares(world) == [20, 80]
    assert (await progress(world)).text.endswith("has 20 of 60 percent")
    takes.set()
    await until_done(world, 60, 40)
