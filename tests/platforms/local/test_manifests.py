"""What is generated is as the runtimes declare it, and as KServe ships it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import sampan.manifests
from sampan.app.generate import render_files, render_runtime
from sampan.runtimes import all_runtimes

FOLDER = Path(sampan.manifests.__file__).parent
GOLDEN = Path(__file__).parents[4] / "shared/golden/installed"
SHIPPED = [runtime for runtime in all_runtimes() if runtime.images and runtime.formats]


def test_the_files_are_what_make_generate_would_write():
    made = render_files(all_runtimes())
    found = {
        str(path.relative_to(FOLDER)): path.read_text()
        for path in (*FOLDER.glob("*/*.yaml"), FOLDER / "images.json")
    }
    assert found == dict(made), "run `make generate`"


def test_every_runtime_is_read_back():
    names = [yaml.safe_load(text)["metadata"]["name"] for text in sampan.manifests.read_runtimes()]
    assert sorted(names) == sorted(runtime.name for runtime in SHIPPED)


@pytest.mark.parametrize("runtime", SHIPPED, ids=lambda runtime: runtime.name)
def test_a_runtime_equals_the_one_that_kserve_ships(runtime):
    path = GOLDEN / f"clusterservingruntime-{runtime.name}.json"
    if not path.exists():
        pytest.skip(f"the recorded runtimes of KServe are not here: {path}")
    assert render_runtime(runtime) == json.loads(path.read_text())
