"""The images of KServe's shipped runtimes of tables have a local command, whatever their tag."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sampan.platforms.local.images import make_image_table, make_requirements
from sampan.runtimes import all_runtimes
from sampan.runtimes.images import render_images

UPSTREAM = Path(__file__).parents[2].parent / "shared" / "upstream"
TABLE = make_image_table(render_images(all_runtimes()), "test")


@pytest.mark.parametrize(
    ("runtime", "argument"),
    [
        ("kserve-sklearnserver", "--runtime=sklearn"),
        ("kserve-xgbserver", "--runtime=xgboost"),
        ("kserve-lgbserver", "--runtime=lightgbm"),
        ("kserve-pmmlserver", "--runtime=pmml"),
    ],
)
def test_a_shipped_runtime_is_served_by_our_server_of_its_format(runtime, argument):
    file = UPSTREAM / f"{runtime}.yaml"
    if not file.exists():
        pytest.skip(f"{file} is not on this machine")
    spec = yaml.safe_load(file.read_text())["spec"]
    (container,) = spec["containers"]
    command = TABLE.find(container["image"])
    assert command is not None
    assert argument in command.argv
    declared = next(r for r in all_runtimes() if r.name == runtime)
    assert list(declared.container_arguments) == container["args"]
    assert [(f.name, f.version, f.priority) for f in declared.formats] == [
        (f["name"], f.get("version", ""), f.get("priority", 0))
        for f in spec["supportedModelFormats"]
    ]


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("kserve/xgbserver:3.0.5", "xgboost==3.0.5"),
        ("ghcr.io/mirror/kserve/lgbserver:4.6.0", "lightgbm==4.6.0"),
        ("sampan/catboostserver:1.2.7", "catboost==1.2.7"),
        ("sampan/mlflowserver:2.22.0", "mlflow-skinny==2.22.0"),
    ],
)
def test_a_runtime_version_pins_the_framework(image, pinned):
    requirements, problem = make_requirements(TABLE.find(image), image)
    assert (pinned in requirements, problem) == (True, "")


@pytest.mark.parametrize("file", sorted(UPSTREAM.glob("kserve-*.yaml")), ids=lambda f: f.stem)
def test_a_shipped_runtime_can_be_applied_beside_ours(file):
    """Two runtimes may not have one priority for one version of a format (KServe's webhook)."""
    document = yaml.safe_load(file.read_text())
    ours = {
        (form.name, form.version, form.priority): runtime.name
        for runtime in all_runtimes()
        for form in runtime.formats
        if runtime.name != document["metadata"]["name"]
    }
    for form in document["spec"]["supportedModelFormats"]:
        if form.get("autoSelect"):
            key = (form["name"], form.get("version", ""), form.get("priority", 0))
            assert key not in ours
