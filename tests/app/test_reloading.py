"""Which state of its files a loaded target has taken in: no edit is missed, whenever it is made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.app.reloading import Look, observe_files, observe_target, select_loaded
from sampan.app.targets import Target, make_model

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
