"""A replica's folder: mounts as links, volumes as private files, nothing outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.plan.types import Component, ModelSource, ServiceKey, Workload
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.pod_folder import ConfigError, collect_folders, make_folder
from sampan.platforms.local.process_spec import Machine, make_process
from sampan.platforms.local.render import render_workload

SERVICE = ServiceKey("default", "iris")


class Bench:
    """A state folder with one model, and folders of replicas made in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(root / "state", root / "cache")
        self.model = root / "model"
        self.model.mkdir()
        (self.model / "weights").write_text("w")

    def make(self, volumes=(), mounts=(), values=None, models=("/mnt/models",), **container):
        served = {"name": "kserve-container", "image": "x", "command": ["serve"],
                  "volumeMounts": list(mounts), **container}  # fmt: skip
        template = {"metadata": {"labels": {"app": "iris"}},
                    "spec": {"containers": [served], "volumes": list(volumes)}}  # fmt: skip
        sources = tuple(ModelSource(f"s3://m{i}", path) for i, path in enumerate(models))
        workload = Workload(Component.PREDICTOR, "iris-predictor", template, "v1-a", 1, "iris",
                            models=sources)  # fmt: skip
        desired = render_workload(SERVICE, workload, ImageTable())
        process = make_process(desired, "r-0", Machine(self.layout, {}))
        make_folder(self.layout, process, [str(self.model)] * len(sources), values or {})
        return self.layout.inside(SERVICE, "r-0", "/")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_the_model_is_a_link_to_the_cache(bench):
    root = bench.make()
    assert (root / "mnt/models").readlink() == bench.model
    assert (root / "mnt/models/weights").read_text() == "w"


def test_a_mount_inside_the_model_writes_nothing_into_the_cache(bench):
    mounts = [{"name": "tmp", "mountPath": "/mnt/models/scratch"}]
    root = bench.make([{"name": "tmp", "emptyDir": {}}], mounts)
    (root / "mnt/models/scratch/new").write_text("x")
    assert (root / "mnt/models/weights").read_text() == "w"
    assert sorted(p.name for p in bench.model.iterdir()) == ["weights"]


def test_several_models_stand_each_at_its_path(bench):
    root = bench.make(models=("/mnt/models", "/mnt/models/lora"))
    assert (root / "mnt/models/weights").exists()
    assert (root / "mnt/models/lora/weights").exists()


SECRET = {("Secret", "s"): {"token": b"\x00top", "b": b"2"}}


def test_a_secret_is_files_that_only_the_user_may_read(bench):
    volumes = [{"name": "s", "secret": {"secretName": "s"}}]
    root = bench.make(volumes, [{"name": "s", "mountPath": "/var/s"}], SECRET)
    assert (root / "var/s/token").read_bytes() == b"\x00top"
    assert mode(root / "var/s/token") == "0o600"
    assert mode(root.parent) == "0o700"


def test_items_choose_keys_and_paths(bench):
    items = [{"key": "token", "path": "sub/t"}]
    volumes = [{"name": "s", "secret": {"secretName": "s", "items": items}}]
    root = bench.make(volumes, [{"name": "s", "mountPath": "/var/s"}], SECRET)
    assert [str(p.relative_to(root)) for p in (root / "var/s").rglob("*") if p.is_file()] == [
        "var/s/sub/t"
    ]


def test_an_item_whose_path_climbs_stays_in_its_volume(bench):
    items = [{"key": "token", "path": "../../../../escaped"}]
    volumes = [{"name": "s", "secret": {"secretName": "s", "items": items}}]
    root = bench.make(volumes, [{"name": "s", "mountPath": "/var/s"}], SECRET)
    assert (root / "var/s/escaped").exists()
    assert list(bench.root.rglob("escaped")) == [root.parent / "volumes/s/escaped"]


def test_a_projected_volume_is_all_its_sources_together(bench):
    sources = [
        {"secret": {"name": "s", "items": [{"key": "b", "path": "b"}]}},
        {"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
        ]}},
    ]  # fmt: skip
    volumes = [{"name": "p", "projected": {"sources": sources}}]
    root = bench.make(volumes, [{"name": "p", "mountPath": "/p"}], SECRET)
    assert (root / "p/b").read_text() == "2"
    assert (root / "p/labels").read_text() == 'app="iris"'


def test_a_claim_is_a_folder_that_outlives_the_replica(bench):
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = [{"name": "d", "mountPath": "/data", "subPath": "a/b"}]
    root = bench.make(volumes, mounts)
    (root / "data/kept").write_text("x")
    collect_folders(bench.layout, ())
    assert not root.exists()
    assert (bench.layout.volumes / "data/a/b/kept").read_text() == "x"


def test_removing_the_folder_leaves_the_model(bench):
    bench.make()
    collect_folders(bench.layout, ())
    assert (bench.model / "weights").exists()


def test_folders_of_replicas_that_live_are_kept(bench):
    root = bench.make()
    collect_folders(bench.layout, {"r-0"})
    assert root.exists()


MISSING = {
    "a Secret that is not there": (
        {"secret": {"secretName": "absent"}}, 'secret "absent" not found',
    ),
    "a key that is not there": (
        {"secret": {"secretName": "s", "items": [{"key": "x", "path": "x"}]}},
        'secret "s" references non-existent key: x',
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", MISSING)
def test_holds_up_the_start(bench, row):
    source, said = MISSING[row]
    values = {**SECRET, ("Secret", "absent"): None}
    with pytest.raises(ConfigError, match=said):
        bench.make([{"name": "v", **source}], [{"name": "v", "mountPath": "/v"}], values)


def test_an_optional_source_may_be_missing(bench):
    volumes = [{"name": "v", "secret": {"secretName": "absent", "optional": True}}]
    root = bench.make(volumes, [{"name": "v", "mountPath": "/v"}], {("Secret", "absent"): None})
    assert list((root / "v").iterdir()) == []


def test_a_mount_of_no_volume_is_named(bench):
    with pytest.raises(ConfigError, match='volume "v" of mount "/v" is not in the pod'):
        bench.make((), [{"name": "v", "mountPath": "/v"}])


def test_a_working_folder_that_is_not_there_is_named_with_its_mend(bench):
    with pytest.raises(ConfigError, match=r'workingDir "/no/such/folder".*create it'):
        bench.make(workingDir="/no/such/folder")
