"""Who uses which model of the cache, read from the folders of daemons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sampan.mesh.documents import ModelEntry
from sampan.mesh.placements import Placement, encode_placements
from sampan.plan.types import ServiceKey
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_users import gather_users, register_users


def put_entry(layout: Layout, key: str) -> Path:
    content = layout.models / "entries" / key / "content"
    content.mkdir(parents=True)
    return content


def make_layout(folder: Path, name: str = "state") -> Layout:
    layout = Layout(folder / name, folder / "cache")
    layout.state.mkdir()
    register_users(layout)
    return layout


def prepare(layout: Layout, name: str, *models: Path) -> None:
    record = {"namespace": "default", "service": name, "models": {str(m): str(m) for m in models}}
    path = layout.prepared(ServiceKey("default", name), "predictor")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


def test_services_use_the_models_that_their_next_replica_needs(tmp_path):
    layout = make_layout(tmp_path)
    prepare(layout, "iris", put_entry(layout, "one"))
    prepare(layout, "other", put_entry(layout, "two"), layout.models / "entries" / "one")
    put_entry(layout, "three")
    assert gather_users(layout.models, layout.state) == {
        "one": ["default/iris", "default/other"], "two": ["default/other"]
    }  # fmt: skip


def test_replicas_use_the_models_that_are_linked_into_their_folders(tmp_path):
    layout = make_layout(tmp_path)
    link = layout.inside(ServiceKey("team", "iris"), "iris-predictor-1", "/mnt/models")
    link.parent.mkdir(parents=True)
    link.symlink_to(put_entry(layout, "one"))
    assert gather_users(layout.models, layout.state) == {"one": ["team/iris-predictor-1"]}


def test_shared_processes_use_the_models_that_are_placed_in_them(tmp_path):
    layout = make_layout(tmp_path)
    entry = ModelEntry("iris-1", "sklearn", str(put_entry(layout, "one")), 10, trusted=False)
    folder = layout.mesh(ServiceKey("team", "runtime"))
    folder.mkdir(parents=True)
    (folder / "placements.json").write_bytes(encode_placements([Placement("iris", entry)]))
    assert gather_users(layout.models, layout.state) == {"one": ["team/iris"]}


def test_every_daemon_of_the_cache_is_asked_and_one_that_is_gone_is_forgotten(tmp_path):
    first, second = make_layout(tmp_path), make_layout(tmp_path, "temporary")
    prepare(first, "a", put_entry(first, "one"))
    prepare(second, "b", put_entry(first, "two"))
    assert set(gather_users(first.models, first.state)) == {"one", "two"}
    second.state.rename(tmp_path / "gone")
    assert set(gather_users(first.models, first.state)) == {"one"}
    assert len(list((first.models / "users").iterdir())) == 1


def test_models_outside_of_the_cache_and_broken_records_are_nobodys(tmp_path):
    layout = make_layout(tmp_path)
    prepare(layout, "own", tmp_path)
    broken = layout.state / "prepared" / "default" / "x" / "y.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"models": 3}')
    put_entry(layout, "one")
    assert gather_users(layout.models, layout.state) == {}


def test_a_cache_that_was_emptied_forgets_nobody_of_this_daemon(tmp_path):
    layout = make_layout(tmp_path)
    prepare(layout, "iris", put_entry(layout, "one"))
    shutil.rmtree(layout.models / "users")
    assert gather_users(layout.models, layout.state) == {"one": ["default/iris"]}
