"""Models that are on this machine: files, folders, archives and volumes."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from sampan.storage import SCHEMES
from sampan.storage.uri import select_scheme


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my models" / "iris"
    folder.mkdir(parents=True)
    (folder / "model.joblib").write_bytes(b"weights")
    return folder


async def test_a_folder_is_served_where_it_is(bench, model):
    spellings = (model, f"file://{model}", f"file://localhost{model}", f"file://{model}/")
    for uri in (*spellings, f"file://{model}".replace(" ", "%20")):
        fetched = await bench.fetch(uri)
        assert (fetched.path, fetched.size, fetched.cached) == (model, 7, True)


async def test_a_file_gets_a_folder_that_links_to_it(bench, model):
    fetched = await bench.fetch(model / "model.joblib")
    assert [p.name for p in fetched.path.iterdir()] == ["model.joblib"]
    (model / "model.joblib").write_bytes(b"newer")
    assert (fetched.path / "model.joblib").read_bytes() == b"newer"
    assert (await bench.fetch(model / "model.joblib")).path == fetched.path


async def test_an_archive_is_unpacked_once_and_again_when_it_changed(bench, model, tmp_path):
    archive = tmp_path / "iris.tar.gz"

    def pack(content: bytes) -> None:
        (model / "model.joblib").write_bytes(content)
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(model / "model.joblib", "model.joblib")

    pack(b"one")
    first, again = await bench.fetch(archive), await bench.fetch(archive)
    assert (first.cached, again.cached, again.path) == (False, True, first.path)
    pack(b"two, longer")
    second = await bench.fetch(archive)
    assert (second.path / "model.joblib").read_bytes() == b"two, longer"
    assert (first.path / "model.joblib").read_bytes() == b"one"


async def test_a_folder_with_nothing_but_an_archive_is_unpacked(bench, model, tmp_path):
    (tmp_path / "only").mkdir()
    with tarfile.open(tmp_path / "only" / "m.tar", "w") as tar:
        tar.add(model / "model.joblib", "model.joblib")
    fetched = await bench.fetch(tmp_path / "only")
    assert [p.name for p in fetched.path.iterdir()] == ["model.joblib"]


async def test_a_missing_path_names_the_part_that_is_missing(bench, model):
    error = await bench.refused(model.parent / "irsi" / "model.joblib")
    assert error.reason == "ModelNotFound"
    assert f'"{model.parent}" exists, "irsi" in it does not' in error.message


async def test_an_empty_folder_is_no_model(bench, tmp_path):
    (tmp_path / "empty").mkdir()
    assert (await bench.refused(tmp_path / "empty")).reason == "ModelNotFound"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_folder_without_the_right_to_read_is_denied(bench, model):
    model.chmod(0)
    try:
        assert (await bench.refused(model)).reason == "AccessDenied"
    finally:
        model.chmod(0o700)


@pytest.mark.parametrize(
    ("uri", "reason", "word"),
    [
        ("file://models/iris", "InvalidURI", "file:///models/iris"),
        ("file://", "InvalidURI", "absolute path"),
        ("models/iris", "InvalidURI", "absolute path"),
        ("", "InvalidURI", "absolute path"),
        ("htps://h/x", "UnsupportedScheme", 'write "https://"'),
        ("modelscope://a/b", "UnsupportedScheme", "hf://OWNER/MODEL"),
        ("hdfs://n/x", "UnsupportedScheme", "/webhdfs/v1/PATH?op=OPEN"),
        ("docker://r/x", "UnsupportedScheme", "oci://REGISTRY"),
        ("ftp://h/x", "UnsupportedScheme", "file://, pvc://, https://, http://"),
        ("/\0", "ModelNotFound", "does not exist"),
    ],
)
async def test_a_uri_that_is_none_says_what_to_write(bench, uri, reason, word):
    error = await bench.refused(uri)
    assert error.reason == reason
    assert word in error.message


def test_schemes_are_read_in_any_case():
    assert select_scheme("HTTPS://h/x", SCHEMES) == "https"
    assert select_scheme("/a:b//c", SCHEMES) == "file"


async def test_a_claim_is_a_folder_made_on_demand(bench):
    error = await bench.refused("pvc://my-claim/iris")
    volume = bench.options.volumes / "my-claim"
    assert str(volume) in error.message
    assert volume.is_dir()
    (volume / "iris").mkdir()
    (volume / "iris" / "model.joblib").write_bytes(b"w")
    assert (await bench.fetch("pvc://my-claim/iris")).path == volume.resolve() / "iris"
    assert (await bench.fetch("pvc://my-claim")).path == volume.resolve()


async def test_a_claim_may_be_a_link_to_a_folder_of_the_user(bench, model):
    bench.options.volumes.mkdir()
    (bench.options.volumes / "data").symlink_to(model.parent)
    assert (await bench.fetch("pvc://data/iris")).path == model


@pytest.mark.parametrize(
    "uri",
    ["pvc://../x", "pvc://a/../../x", "pvc://A/x", "pvc:///x", "pvc://a/..", "pvc://a..b/x"],
)
async def test_a_claim_is_not_left_by_its_uri(bench, uri):
    assert (await bench.refused(uri)).reason == "InvalidURI"


async def test_a_claim_is_not_left_by_a_link_inside(bench, model):
    volume = bench.options.volumes / "a"
    (volume / "m").mkdir(parents=True)
    (volume / "m" / "weights").symlink_to(model / "model.joblib")
    (volume / "all").symlink_to(model)
    for uri in ("pvc://a/m", "pvc://a/m/weights", "pvc://a/all", "pvc://a"):
        assert (await bench.refused(uri)).reason == "SourceRefused"
