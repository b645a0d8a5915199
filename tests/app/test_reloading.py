"""Which state of its files a loaded target has taken in: no edit is missed, whenever it is made."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sampan.app.reloading import Look, Reloader, observe_files, observe_target, select_loaded
from sampan.app.targets import Target, make_model
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers

MODEL = """
import beside_it

from sampan.sdk import Model

class Some(Model):
    def predict(self, payload, headers=None):
        return payload
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A target whose file imports a module beside it."""
    modules, path = dict(sys.modules), list(sys.path)
    (tmp_path / "beside_it.py").write_text("SCALE = 1\n")
    (tmp_path / "some_model.py").write_text(MODEL)
    yield Target("some", tmp_path / "some_model.py", "Some")
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.path[:] = path


def _load(target: Target) -> Look:
    look = observe_target(target)
    make_model(target)
    return look


def _long_ago(target: Target) -> None:
    for path in target.path.parent.glob("*.py"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def test_without_an_edit_what_is_loaded_is_what_is_there(target: Target) -> None:
    _long_ago(target)
    look = _load(target)
    assert select_loaded(target, look) == observe_files(target)
    assert {path.name for path in observe_files(target)} == {"some_model.py", "beside_it.py"}


@pytest.mark.parametrize("name", ["some_model.py", "beside_it.py"])
def test_an_edit_between_loading_and_watching_is_seen(target: Target, name: str) -> None:
    _long_ago(target)
    look = _load(target)
    (target.path.parent / name).write_text(MODEL + "# edited\n")
    assert select_loaded(target, look) != observe_files(target)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # any of many conditions
            await asyncio.sleep(0.02)


async def test_an_edit_of_a_model_that_was_unloaded_ends_the_reloading_of_no_other(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = target.path.with_name("other_model.py")
    path.write_text(MODEL)
    other = Target("other", path, "Some")
    _long_ago(target)
    looks = {one: observe_target(one) for one in (target, other)}
    repository = ModelRepository()
    for one in looks:
        repository.update(make_model(one), one.name)
    reloading = asyncio.ensure_future(Reloader(repository, Workers(1), looks).run())
    try:
        repository.unload("some")
        target.path.write_text(MODEL + "# edited\n")
        await until(lambda: "was unloaded" in caplog.text)
        first = repository.get("other").model
        path.write_text(MODEL + "# edited\n")
        await until(lambda: repository.get("other").model is not first)
        assert repository.names() == ["other"]
    finally:
        reloading.cancel()
        await asyncio.gather(reloading, return_exceptions=True)
