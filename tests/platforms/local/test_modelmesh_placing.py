"""Models are placed in shared processes, also where the disk does not take it at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sampan.machinery.clock import SystemClock
from sampan.mesh.documents import REGISTER_FILE, Register, decode_register
from sampan.plan.mesh_settings import MeshSettings
from sampan.plan.observed import LinkState, MeshSeen
from sampan.plan.types import Component, MeshModel, ServiceKey, Workload, mesh_key
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.modelmesh import MeshModels
from sampan.storage.base import FetchOptions
from sampan.storage.fetch import fetch

HOST, SERVICE = mesh_key("default", "mlserver"), ServiceKey("default", "red")
WORKLOAD = Workload(Component.PREDICTOR, "w", {}, "v1-a", 1, "")


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # any of many conditions
            await asyncio.sleep(0.01)


class Stage:
    """The models of one runtime, and the disk that they are written to."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        (self.source / "model.joblib").write_bytes(b"x" * 100)
        layout = Layout(folder / "state", folder / "cache")
        options = FetchOptions(layout.models, layout.volumes)
        self.register_file = layout.mesh(HOST) / REGISTER_FILE
        self.models = MeshModels(layout, fetch, options, SystemClock(), lambda _: None)

    def place(self, model_id: str = "red-1") -> None:
        settings = MeshSettings(capacity=1 << 20)
        uri = str(self.source)
        model = MeshModel(HOST, WORKLOAD, model_id, "sklearn", uri, settings=settings)
        self.models.place(SERVICE, model)

    def seen(self) -> MeshSeen:
        seen = self.models.observe(SERVICE, ())
        assert seen is not None
        return seen

    def registered(self) -> Register:
        return decode_register(self.register_file.read_bytes())

    def refuse(self) -> None:
        """Be a disk that takes no register."""
        self.register_file.unlink(missing_ok=True)
        self.register_file.mkdir(parents=True)

    async def place_done(self, model_id: str = "red-1") -> None:
        self.place(model_id)
        await until(lambda: self.seen().download.state is LinkState.DONE)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    await made.models.close()


async def test_a_placed_model_is_in_the_register(stage: Stage):
    await stage.place_done()
    assert stage.registered().names == {"red": "red-1"}
    assert stage.registered().capacity == 1 << 20


async def test_a_register_that_cannot_be_written_is_told_and_tried_again(stage: Stage):
    await stage.place_done("red-1")
    stage.refuse()
    stage.place("red-2")
    await until(lambda: stage.seen().download.state is LinkState.FAILED)
    assert stage.seen().download.reason == "LocalIOError"
    assert stage.seen().download.retry_at > 0
    stage.register_file.rmdir()
    await stage.place_done("red-2")
    assert [one.id for one in stage.registered().models] == ["red-2"]


async def test_what_was_not_written_is_not_taken_for_done(stage: Stage):
    await stage.place_done()
    stage.refuse()
    with pytest.raises(IsADirectoryError):
        stage.models.activate(SERVICE)
    assert stage.seen().active is None
    stage.register_file.rmdir()
    stage.models.activate(SERVICE)
    assert stage.seen().active is not None
    assert stage.registered().names == {"red": "red-1"}


async def test_settings_that_were_not_written_are_not_taken_for_done(stage: Stage):
    stage.refuse()
    with pytest.raises(IsADirectoryError):
        stage.place()
    stage.register_file.rmdir()
    await stage.place_done()
    assert stage.registered().capacity == 1 << 20
