"""A process follows the register in its folder, whatever the disk and the register do meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sampan.mesh.documents import (
    REGISTER_FILE,
    REPORTS_FOLDER,
    ModelEntry,
    Register,
    decode_report,
    encode_register,
)
from sampan.runtimes.modelmesh.following import Follower
from sampan.server.mesh_repository import MeshRepository
from sampan.server.model import Model
from sampan.server.workers import Workers


class Light(Model):
    """A model that is loaded at once."""

    def load(self) -> bool:
        self.ready = True
        return True


def write(folder: Path, *names: str) -> None:
    """Replace the register, as the control plane does."""
    models = tuple(ModelEntry(name, "f", "", 1) for name in names)
    fresh = folder / "fresh"
    fresh.write_bytes(encode_register(Register(models, {n: n for n in names}, 10)))
    fresh.replace(folder / REGISTER_FILE)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # any of many conditions
            await asyncio.sleep(0.01)


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[MeshRepository]:
    """The models of a process that follows `tmp_path`."""
    made = MeshRepository(lambda entry: Light(entry.id))
    following = asyncio.ensure_future(Follower(tmp_path, made).run(Workers(1)))
    yield made
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def reported(folder: Path) -> set[str]:
    """The models of the process's report."""
    path = folder / REPORTS_FOLDER / f"{os.getpid()}.json"
    return set(decode_report(path.read_bytes()).models) if path.exists() else set()


async def test_what_is_registered_is_loaded_and_reported(
    repository: MeshRepository, tmp_path: Path
):
    write(tmp_path, "a")
    await until(lambda: reported(tmp_path) == {"a"})
    write(tmp_path, "b")
    await until(lambda: repository.names() == ["b"] and reported(tmp_path) == {"b"})


async def test_a_broken_register_is_told_once_and_leaves_what_there_is(
    repository: MeshRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write(tmp_path, "a")
    await until(lambda: repository.names() == ["a"])
    (tmp_path / REGISTER_FILE).write_text("{")
    await until(lambda: "the register" in caplog.text or "models.json" in caplog.text)
    await asyncio.sleep(0.5)  # five looks
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    assert repository.names() == ["a"]
    write(tmp_path, "a", "b")
    await until(lambda: repository.names() == ["a", "b"])


async def test_a_report_that_the_disk_does_not_take_is_told_once_and_written_later(
    repository: MeshRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    in_the_way = tmp_path / REPORTS_FOLDER
    in_the_way.touch()
    write(tmp_path, "a")
    await until(lambda: "cannot be written" in caplog.text)
    await asyncio.sleep(0.5)
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    in_the_way.unlink()
    await until(lambda: reported(tmp_path) == {"a"})


async def test_it_ends_also_when_something_changes_at_the_same_moment(tmp_path: Path):
    made = MeshRepository(lambda entry: Light(entry.id))
    following = asyncio.ensure_future(Follower(tmp_path, made).run(Workers(1)))
    await asyncio.sleep(0.05)
    made.on_change()
    following.cancel()
    _, running = await asyncio.wait([following], timeout=20)
    following.cancel()
    assert not running
