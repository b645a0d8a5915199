"""What is generated is as the runtimes declare it, and as KServe ships it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import sampan.manifests
from sampan.app.generate import render_files, render_runtime
from sampan.runtimes import all_runtimes
from sampan.runtimes.vllm import VLLM

FOLDER = Path(sampan.manifests.__file__).parent
GOLDEN = Path(__file__).parents[4] / "shared/golden/installed"
SWITCHES = ("autoSelect", "multiModel", "hostIPC")
SHIPPED = [one for one in (*all_runtimes(), VLLM) if one.images and one.formats]


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
    assert said(render_runtime(runtime)) == said(json.loads(path.read_text()))


def said(value):
    """What an object says: a false that is written out means what is left out."""
    if isinstance(value, dict):
        return {k: said(v) for k, v in value.items() if k not in SWITCHES or v}
    return [said(item) for item in value] if isinstance(value, list) else value
