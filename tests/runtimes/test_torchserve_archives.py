"""TorchServe's archives and settings, as far as they are read without PyTorch: hostile ones too."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sampan.protocol.errors import InvalidInput, ModelNotFound, ModelNotReady
from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST, read_manifest, unpack, validate_names
from sampan.runtimes.torchserve.arguments import translate
from sampan.runtimes.torchserve.model import ArchiveModel
from sampan.runtimes.torchserve.registry import Conflict, NotAllowed, Registry, Store
from sampan.runtimes.torchserve.routes import make_row
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.runtimes.torchserve.settings import (
    is_open,
    make_warnings,
    parse_properties,
    select_archives,
)
from sampan.server.load_failure import LoadFailure
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers

MODEL = {"modelName": "lin", "handler": "h.py", "modelVersion": "1.5"}


def archive(folder: Path, file: str = "lin.mar", model: Any = None, **extra: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / file, "w") as made:
        made.writestr(MANIFEST, json.dumps({"model": MODEL if model is None else model}))
        for name, text in {"h.py": "x = 1", **extra}.items():
            made.writestr(name, text)
    return folder / file


def failure(path: Path) -> LoadFailure:
    with pytest.raises(LoadFailure) as caught:
        read_manifest(path)
    return caught.value


def test_a_manifest_tells_name_version_and_handler(tmp_path):
    manifest = read_manifest(archive(tmp_path))
    assert (manifest.name, manifest.version, manifest.handler) == ("lin", "1.5", "h.py")


def test_files_go_into_a_private_folder(tmp_path):
    folder = unpack(archive(tmp_path))
    assert (folder / "h.py").read_text() == "x = 1"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py", "a\\..\\out.py"])
def test_a_name_that_leaves_the_folder_is_refused_and_nothing_is_written(tmp_path, name):
    path = archive(tmp_path / "store")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr(zipfile.ZipInfo(name), "x")
    told = failure(path)
    assert told.reason == "ModelUntrusted"
    with pytest.raises(LoadFailure):
        unpack(path)
    assert not list(tmp_path.rglob("out.py"))


def test_a_link_is_refused(tmp_path):
    path = archive(tmp_path)
    link = zipfile.ZipInfo("weights.pt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as made:
        made.writestr(link, "/etc/passwd")
    assert "is a link" in failure(path).message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no zip"),
        (b"PK\x03\x04 broken", "no zip"),
        (b"\x1f\x8b\x08", "no zip"),
    ],
)
def test_a_file_that_is_no_archive(tmp_path, content, words):
    (tmp_path / "a.mar").write_bytes(content)
    told = failure(tmp_path / "a.mar")
    assert (told.reason, words in told.message) == ("ModelCorrupt", True)


@pytest.mark.parametrize("model", [[], {}, {"handler": 3}, "x"])
def test_a_manifest_that_says_nothing(tmp_path, model):
    assert failure(archive(tmp_path, model=model)).reason == "ModelCorrupt"


def test_an_archive_without_a_manifest(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.mar", "w") as made:
        made.writestr("h.py", "")
    assert f'a zip without "{MANIFEST}"' in failure(tmp_path / "a.mar").message


def test_an_archive_that_unpacks_to_very_much_is_refused(tmp_path):
    path = archive(tmp_path, big="x" * 5000)
    with (
        zipfile.ZipFile(path) as opened,
        pytest.raises(LoadFailure, match="unpacks to 3 files of 5"),
    ):
        validate_names(opened, path, 1000)


def test_an_archive_is_not_unpacked_unless_trusted(tmp_path):
    archive(tmp_path, **{"h.py": f"open({str(tmp_path / 'ran')!r}, 'w')"})
    model: Any = make_offer(Order("m", tmp_path)).repository.get("lin").model
    with pytest.raises(LoadFailure) as caught:
        model.load()
    assert caught.value.reason == "ModelUntrusted"
    assert "serving.sampan.dev/trust" in caught.value.message
    assert not (tmp_path / "ran").exists()


SNAPSHOT = (
    'model_snapshot={"name":"startup.cfg","modelCount":1,"models":{"mnist":{'
    '"1.0":{"marName":"old.mar"},"2.0":{"defaultVersion":true,"marName":"lin.mar"}}}}'
)


@pytest.mark.parametrize(
    ("properties", "models", "wanted"),
    [
        pytest.param(SNAPSHOT, "", [("mnist", "lin.mar")], id="the snapshot's default version"),
        pytest.param("load_models=a=lin.mar", "", [("a", "lin.mar")], id="a list"),
        pytest.param("load_models=all", "", [("", "lin.mar")], id="all there are"),
        pytest.param("", "", [("", "lin.mar")], id="nothing said is all"),
        pytest.param(SNAPSHOT, "b=lin.mar", [("b", "lin.mar")], id="--models wins"),
    ],
)
def test_which_archives_are_loaded(tmp_path, properties, models, wanted):
    archive(tmp_path)
    found = select_archives(tmp_path, parse_properties(properties), models)
    assert [(one.name, one.archive.name) for one in found] == wanted


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("load_models=../x.mar", 'archive "../x.mar" is not in the model store'),
        ("load_models=https://host/x.mar", "is not in the model store"),
        ("model_snapshot={", "model_snapshot of config.properties cannot be read"),
        ("", "holds no archive"),
    ],
)
def test_what_cannot_be_loaded_is_told(tmp_path, properties, words):
    with pytest.raises(LoadFailure, match=words):
        select_archives(tmp_path, parse_properties(properties))


def test_properties_and_what_has_no_effect():
    text = "# comment\nallowed_urls=.*\nmodel_store = /x\n\nload_models=a.mar,\\\nb.mar\nodd"
    properties = parse_properties(text)
    assert properties == {
        "allowed_urls": ".*",
        "model_store": "/x",
        "load_models": "a.mar,b.mar",
    }
    assert make_warnings(properties) == [
        '"allowed_urls" of config.properties is not honoured: archives are those of the model store'
    ]


def test_a_batch_size_has_no_effect_and_is_named():
    text = 'model_snapshot={"models":{"m":{"1.0":{"marName":"a.mar","batchSize": 8}}}}'
    (said,) = make_warnings(parse_properties(text))
    assert '"batchSize" 8 of model_snapshot is not honoured' in said


def test_torchserves_arguments_become_ours():
    told = translate(
        ["--runtime=torchserve", "torchserve", "--start", "--model-store=/s", "--ts-config", "/c"]
    )
    assert told.argv == ("--runtime=torchserve", "--model_dir=/s", "--server_option=ts-config=/c")


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="data"; filename="k"\r\n\r\n\x00\xff\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("body", "kind", "row"),
    [
        (b"[1]", "application/json", {"body": [1]}),
        (b"[1", "application/json; charset=utf-8", {"body": b"[1"}),
        (b"\x00", "", {"body": bytearray(b"\x00")}),
        (FORM, "multipart/form-data; boundary=b", {"data": b"\x00\xff"}),
    ],
)
def test_a_body_as_a_handler_sees_it(body, kind, row):
    assert make_row(body, kind) == row


def test_a_key_that_nobody_knows_is_told_and_one_of_another_way_is_not():
    text = "inference_address=http://0.0.0.0:8085\nenable_model_api=true\nlod_models=all\n"
    (said,) = make_warnings(parse_properties(text))
    assert said == '"lod_models" of config.properties is not known here; did you mean "load_models"'


@pytest.mark.parametrize(
    ("properties", "argument", "open_"),
    [
        ({}, "", False),
        ({"enable_model_api": "false"}, "", False),
        ({"enable_model_api": "true"}, "", True),
        ({}, "true", True),
    ],
)
def test_models_come_and_go_only_where_it_is_said(properties, argument, open_):
    assert is_open(properties, argument) is open_


def test_its_argument_for_that_is_an_option_of_ours():
    told = translate(["torchserve", "--start", "--enable-model-api", "--model-store", "s"])
    assert told.argv == ("--server_option=enable-model-api=true", "--model_dir=s")


async def test_registering_is_refused_with_its_mend(tmp_path):
    archive(tmp_path)
    manifest = read_manifest(tmp_path / "lin.mar")
    repository = ModelRepository()
    repository.update(ArchiveModel("lin", tmp_path / "lin.mar", manifest, trust=False))
    closed, opened = (Registry(repository, Store(tmp_path, open=way)) for way in (False, True))
    with pytest.raises(NotAllowed, match="start with --enable-model-api"):
        await closed.register("lin.mar", "", Workers(1))
    with pytest.raises(InvalidInput, match="name an archive of the model store"):
        await opened.register("", "", Workers(1))
    with pytest.raises(InvalidInput, match=r'archive "/etc/x\.mar" is not in the model store'):
        await opened.register("/etc/x.mar", "", Workers(1))
    with pytest.raises(Conflict, match='"lin" is registered already'):
        await opened.register("lin.mar", "", Workers(1))
    with pytest.raises(ModelNotReady, match=r"serving\.sampan\.dev/trust"):
        await opened.register("lin.mar", "second", Workers(1))
    assert opened.unregister("lin") == 'Model "lin" unregistered'
    with pytest.raises(ModelNotFound):
        opened.find("lin")
