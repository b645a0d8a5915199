"""What each runtime declares holds: its modules exist, its image table is one."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path

import pytest

import sampan
from sampan.platforms.local.images import make_image_table
from sampan.runtimes import all_runtimes, get_runtime, resolve
from sampan.runtimes.images import render_images
from sampan.server.model import Model


@pytest.mark.parametrize("runtime", all_runtimes(), ids=lambda runtime: runtime.name)
def test_a_runtime_resolves_and_preloads(runtime):
    maker = resolve(runtime.model)  # a Model, or what chooses one by what a folder holds
    assert issubclass(maker, Model) if isinstance(maker, type) else callable(maker)
    assert callable(resolve(runtime.entry))
    for name in runtime.preload:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:  # engines of gigabytes
            importlib.import_module(name)
    assert any(r.startswith(runtime.package) for r in runtime.requirements)


def test_an_unknown_runtime_names_the_known():
    with pytest.raises(ValueError, match=r'no runtime "nope"; known runtimes: .*sklearn'):
        get_runtime("nope")


def test_the_local_platform_reads_the_image_table():
    table = make_image_table(render_images(all_runtimes()), "test")
    command = table.find("ghcr.io/mirror/kserve/sklearnserver:v0.15.0")
    assert command is not None
    assert command.entry == "sampan.app.serve:fork_main"


def test_the_shipped_image_table_is_the_rendered_one():
    shipped = Path(sampan.__file__).parent / "manifests" / "images.json"
    assert json.loads(shipped.read_text()) == render_images(all_runtimes())
