"""TorchServe's archives and settings, as far as they are read without PyTorch: hostile ones too."""

from __future__ import annotations

import asyncio
import json
import stat
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sampan.protocol.errors import InvalidInput, ModelNotFound, ModelNotReady
from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.answers import Answer, HandlerStatus, read_message
from sampan.runtimes.torchserve.archive import MANIFEST, read_manifest, unpack, validate_names
from sampan.runtimes.torchserve.arguments import translate
from sampan.runtimes.torchserve.batches import Batch
from sampan.runtimes.torchserve.handler import Handler
from sampan.runtimes.torchserve.registry import (
    Conflict,
    DefaultVersion,
    NotAllowed,
    Registration,
    Registry,
    Store,
)
from sampan.runtimes.torchserve.routes import make_row
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.runtimes.torchserve.settings import (
    is_open,
    make_warnings,
    parse_properties,
    read_batches,
    select_archives,
)
from sampan.runtimes.torchserve.turns import Asked, Turn, Turns
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
        pytest.param(
            SNAPSHOT, "", [("mnist", "old.mar"), ("mnist", "lin.mar")], id="a snapshot's versions"
        ),
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


def test_a_snapshot_tells_the_default_version_and_the_batches():
    text = (
        'model_snapshot={"models":{"m":{"1.0":{"marName":"a.mar","batchSize":8,"maxBatchDelay":50},'
        '"2.0":{"marName":"b.mar","defaultVersion":true}}}}'
    )
    one, two = select_archives(Path("/store"), parse_properties(text))
    assert (one.batch, one.default) == (Batch(8, 0.05), False)
    assert (two.batch, two.default) == (None, True)


def test_the_models_of_config_properties_tell_their_batches():
    text = 'models={"lin":{"1.0":{"batchSize":4},"2.0":{"minWorkers":1}}}'
    assert read_batches(parse_properties(text)) == {("lin", "1.0"): Batch(4, 0.1)}
    assert make_warnings(parse_properties(text)) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"lin":{"1.0":{"batchSize":0}}}', 'batchSize of model "lin" of models is 0; give a'),
        ('{"lin":{"1.0":{"maxBatchDelay":"soon"}}}', "maxBatchDelay .* is 'soon'; give a whole"),
        ('{"lin":[]}', "models of config.properties cannot be read"),
        ('{"lin":', "models of config.properties cannot be read"),
    ],
)
def test_batches_that_cannot_be_read_are_told_with_their_place(text, words):
    with pytest.raises(LoadFailure, match=words):
        read_batches({"models": text})


def configured(folder: Path, text: str) -> Path:
    model = {**MODEL, "configFile": "model-config.yaml"}
    return archive(folder, model=model, **{"model-config.yaml": text})


def test_an_archive_brings_the_size_of_its_batches(tmp_path):
    path = configured(tmp_path, "batchSize: 4\nmaxBatchDelay: 20\nhandler: {threshold: 1}\n")
    manifest = read_manifest(path)
    assert (manifest.batch, manifest.warnings) == (Batch(4, 0.02), ())


def test_what_its_settings_ask_for_in_vain_is_named(tmp_path):
    path = configured(tmp_path, "minWorkers: 2\nparallelType: tp\ncontinuousBatching: true\n")
    manifest = read_manifest(path)
    assert manifest.batch is None
    assert [warning.split('"')[1] for warning in manifest.warnings] == [
        "parallelType", "continuousBatching",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "batchSize: many",
            'batchSize of "model-config.yaml" of model archive "lin.mar" is \'many\'',
        ),
        ("a: [", "is no YAML"),
        ("just words", "give an object"),
    ],
)
def test_settings_that_cannot_be_read(tmp_path, text, words):
    assert words in failure(configured(tmp_path, text)).message


def test_settings_that_are_not_in_their_archive(tmp_path):
    told = failure(archive(tmp_path, model={**MODEL, "configFile": "../out.yaml"}))
    assert "../out.yaml" in told.message
    folder = tmp_path / "open"
    (folder / "MAR-INF").mkdir(parents=True)
    (tmp_path / "out.yaml").write_text("batchSize: 9")
    (folder / MANIFEST).write_text(json.dumps({"model": {**MODEL, "configFile": "../out.yaml"}}))
    assert "is not in it" in failure(folder).message


def test_two_archives_of_one_version_are_told(tmp_path):
    archive(tmp_path, "a.mar")
    archive(tmp_path, "b.mar")
    with pytest.raises(LoadFailure, match=r'two archives are version "1\.5" of model "lin"'):
        make_offer(Order("m", tmp_path))


def test_versions_of_a_model_are_behind_one_name(tmp_path):
    archive(tmp_path, "a.mar")
    archive(tmp_path, "b.mar", {**MODEL, "modelVersion": "2"})
    offer = make_offer(Order("m", tmp_path))
    assert offer.repository.names() == ["lin"]
    model: Any = offer.repository.get("lin").model
    assert (list(model.versions), model.default) == (["1.5", "2"], "1.5")
    with pytest.raises(ModelNotFound, match="lin with version 3"):
        model.select("3")


def part(value: bytes, status: int = 200, **headers: str) -> bytes:
    """Return a part as a worker of TorchServe writes it, of the request "r1"."""

    def text(word: str) -> bytes:
        return struct.pack("!i", len(word)) + word.encode()

    said = b"".join(text(name) + text(word) for name, word in headers.items())
    return b"".join(
        (
            struct.pack("!i", 200), text("Prediction success"), text("r1"),
            text("text/event-stream"), struct.pack("!i", status), text(""),
            struct.pack("!i", len(headers)), said,
            struct.pack("!i", len(value)), value, struct.pack("!i", -1),
        )
    )  # fmt: skip


def test_a_part_is_read_off_the_workers_message():
    message = part(b"\x00hello", 201, ts_stream_next="true", tone="A")
    ((request_id, answer),) = read_message(message)
    assert (request_id, answer.body(), answer.status) == ("r1", b"\x00hello", 201)
    assert answer.headers == {"content-type": "text/event-stream", "tone": "A"}


class Rows:
    """A handler that notes its batches; "fail" fails its batch, "parts" are told as parts."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def run(self, turns: Sequence[Turn]) -> list[Answer]:
        rows = [turn.asked.row["body"] for turn in turns]
        self.batches.append(rows)
        if "fail" in rows:
            raise InvalidInput("no")
        for turn in turns:
            if turn.asked.row["body"] == "parts":
                turn.part(Answer("one"))
                turn.part(Answer("two"))
        return [Answer(row) for row in rows]


def ask(turns: Turns, *rows: str, envelope: str = "") -> Any:
    asked = (turns.ask(Asked({"body": row}, {}, envelope)) for row in rows)
    return asyncio.gather(*asked, return_exceptions=True)


async def test_requests_that_come_in_time_are_one_batch_and_each_has_its_answer():
    rows = Rows()
    turns = Turns(rows.run, Batch(3, 30.0))
    answers = await ask(turns, "a", "b", "c", "d", "e", "f")
    assert [answer.value for answer in answers] == ["a", "b", "c", "d", "e", "f"]
    assert rows.batches == [["a", "b", "c"], ["d", "e", "f"]]
    turns.stop()


async def test_a_batch_that_is_not_full_is_taken_when_its_time_is_over():
    rows = Rows()
    turns = Turns(rows.run, Batch(100, 0.05))
    (answer,) = await ask(turns, "a")
    assert (answer.value, rows.batches) == ("a", [["a"]])
    turns.stop()


async def test_what_a_handler_raises_is_told_to_its_batch_and_the_next_is_answered():
    rows = Rows()
    turns = Turns(rows.run, Batch(2, 30.0))
    answers = await ask(turns, "a", "fail", "b", "c")
    assert [isinstance(answer, InvalidInput) for answer in answers] == [True, True, False, False]
    turns.stop()


async def test_what_comes_through_an_envelope_is_asked_alone():
    rows = Rows()
    turns = Turns(rows.run, Batch(4, 0.05))
    await asyncio.gather(ask(turns, "a"), ask(turns, "v", envelope="v1"), ask(turns, "b"))
    assert rows.batches == [["a"], ["v"], ["b"]]
    turns.stop()


async def test_parts_come_before_the_handler_has_ended_and_the_last_is_what_it_returns():
    turns = Turns(Rows().run, Batch(1))
    (answer,) = await ask(turns, "parts")
    assert [each.value async for each in answer] == ["one", "two", "parts"]
    turns.stop()


async def test_a_stopped_handler_answers_what_waits_and_its_thread_ends():
    rows = Rows()
    turns = Turns(rows.run, Batch(4, 30.0))
    waiting = ask(turns, "a")
    await asyncio.sleep(0)
    turns.stop()
    assert (await waiting)[0].value == "a"
    thread: Any = turns._thread
    thread.join(30)
    assert not thread.is_alive()


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
    archive(tmp_path, "next.mar", {**MODEL, "modelVersion": "2"})
    closed, opened = (
        Registry(ModelRepository(), Store(tmp_path, open=way)) for way in (False, True)
    )
    for registry in (closed, opened):
        for name in ("lin.mar", "next.mar"):
            path = tmp_path / name
            registry.register_at_start(Handler("lin", path, read_manifest(path), None))
    with pytest.raises(NotAllowed, match="start with --enable-model-api"):
        await closed.register(Registration("lin.mar"), Workers(1))
    with pytest.raises(NotAllowed):
        closed.set_default("lin", "2")
    with pytest.raises(InvalidInput, match="name an archive of the model store"):
        await opened.register(Registration(""), Workers(1))
    with pytest.raises(InvalidInput, match=r'archive "/etc/x\.mar" is not in the model store'):
        await opened.register(Registration("/etc/x.mar"), Workers(1))
    with pytest.raises(InvalidInput, match=r"initial_workers is 2; .* minReplicas"):
        await opened.register(Registration("lin.mar", "second", workers=2), Workers(1))
    with pytest.raises(Conflict, match=r'version "1\.5" of model "lin" is registered already'):
        await opened.register(Registration("lin.mar"), Workers(1))
    with pytest.raises(ModelNotReady, match=r"serving\.sampan\.dev/trust"):
        await opened.register(Registration("lin.mar", "second"), Workers(1))
    with pytest.raises(DefaultVersion, match="make another one the default"):
        opened.unregister("lin")
    told = opened.set_default("lin", "2")
    assert told == 'Default version successfully updated for model "lin" to "2"'
    assert [row["defaultVersion"] for row in opened.describe("lin", "all")] == [False, True]
    for version in ("1.5", ""):
        assert opened.unregister("lin", version) == 'Model "lin" unregistered'
    with pytest.raises(ModelNotFound):
        opened.find("lin")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        pytest.param({"min_worker": 3}, "min_worker is 3; .* minReplicas", id="several"),
        pytest.param({"min_worker": 2, "max_worker": 1}, "cannot be less than", id="turned about"),
        pytest.param({"min_worker": 0}, "max_worker is 0; .* unregister", id="none"),
        pytest.param({"number_gpu": 1}, "number_gpu is 1; .* resources.limits", id="on a GPU"),
    ],
)
def test_workers_that_a_process_has_not_are_refused_with_the_mend(numbers, said, tmp_path):
    with pytest.raises(InvalidInput, match=said):
        registry_of_one(tmp_path).scale("lin", "", numbers)


@pytest.mark.parametrize("numbers", [{}, {"min_worker": 1}, {"min_worker": 0, "max_worker": 4}])
def test_one_worker_is_what_there_is(numbers, tmp_path):
    registry = registry_of_one(tmp_path)
    assert registry.scale("lin", "1.5", numbers) == "Workers scaled to 1 for model: lin"
    with pytest.raises(ModelNotFound):
        registry.scale("other", "", numbers)


def registry_of_one(folder: Path) -> Registry:
    path = archive(folder)
    registry = Registry(ModelRepository(), Store(folder))
    registry.register_at_start(Handler("lin", path, read_manifest(path), None))
    return registry


async def test_a_handler_that_was_stopped_says_so_and_leaves_nobody_waiting(tmp_path: Path) -> None:
    path = archive(tmp_path)
    handler = Handler("lin", path, read_manifest(path), None)
    for _ in range(2):
        with pytest.raises(HandlerStatus, match='model "lin" was stopped; ask again'):
            await asyncio.wait_for(handler.turns.ask(Asked({}, {})), 20)
        handler.stop()
    handler.turns.stop()
