"""Models in Google Cloud Storage, from a server that checks assertions and generations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.storage.conftest import files_of
from tests.storage.gcs_server import Gcs

PATH = "/var/secrets/gcloud-application-credentials.json"
BODY = bytes(range(256)) * 4096


@pytest.fixture
async def gcs(bench) -> AsyncIterator[Gcs]:
    served = Gcs({"iris/model.joblib": b"weights", "iris/sub/labels.txt": b"one two"})
    await served.start()
    bench.set(
        environment={
            "STORAGE_EMULATOR_HOST": f"127.0.0.1:{served.port}",
            "GOOGLE_APPLICATION_CREDENTIALS": PATH,
        },
        files={PATH: json.dumps(served.credentials)},
    )
    yield served
    served.stop()


async def test_a_folder_comes_with_the_key_of_a_service_account(gcs, bench):
    gcs.objects |= {"iris/empty": b"", "iris/folder/": b"", "iris2/no": b"no"}
    first = await bench.fetch("gs://models/iris")
    assert files_of(first.path) == {
        "empty": b"",
        "model.joblib": b"weights",
        "sub/labels.txt": b"one two",
    }
    assert (await bench.fetch("gs://models/iris")).cached
    assert gcs.tokens == 2  # one a fetch


async def test_a_folder_goes_before_an_object_of_its_name(gcs, bench):
    gcs.objects |= {"both": b"file", "both/x": b"inside", "alone": b"one"}
    assert files_of((await bench.fetch("gs://models/both")).path) == {"x": b"inside"}
    assert files_of((await bench.fetch("gs://models/alone")).path) == {"alone": b"one"}


async def test_names_of_all_letters_come_page_by_page(gcs, bench):
    gcs.page = 2
    odd = {f"a b/{n}+%20&=?#ä": b"%d" % n for n in range(7)}
    gcs.objects = {f"iris/{name}": body for name, body in odd.items()}
    assert files_of((await bench.fetch("gs://models/iris")).path) == odd


async def test_a_download_that_is_cut_goes_on_where_it_stopped(gcs, bench):
    gcs.objects = {"big": BODY}
    gcs.acts = [600_000]
    assert files_of((await bench.fetch("gs://models/big")).path) == {"big": BODY}
    assert gcs.seen[-1].headers["range"] == "bytes=600000-"


async def test_what_is_stored_compressed_is_read_unpacked(gcs, bench):
    gcs.objects = {"iris/labels.txt": b"one two " * 100, "iris/model.bin": b"m"}
    gcs.packed = {"iris/labels.txt"}
    assert files_of((await bench.fetch("gs://models/iris")).path)["labels.txt"] == b"one two " * 100


async def test_a_bomb_is_not_unpacked(gcs, bench):
    gcs.objects = {"iris/bomb": bytes(4_000_000), "iris/b": b"b"}
    gcs.packed = {"iris/bomb"}
    bench.set(max_ratio=10)
    assert (await bench.refused("gs://models/iris")).reason == "ArchiveTooLarge"
    assert bench.published == []


async def test_many_small_bombs_are_not_unpacked(gcs, bench):
    gcs.objects = {f"iris/{i}": bytes(400_000) for i in range(10)}
    gcs.packed = set(gcs.objects)
    bench.set(max_ratio=1e6, max_bytes=2_000_000)
    assert (await bench.refused("gs://models/iris")).reason == "ArchiveTooLarge"
    assert bench.published == []


async def test_what_does_not_fit_is_not_unpacked(gcs, bench):
    gcs.objects = {f"iris/{i}": bytes(400_000) for i in range(3)}
    gcs.packed = set(gcs.objects)
    bench.world = replace(bench.world, free_bytes=lambda _: 100_000)
    bench.set(max_ratio=1e6)
    assert (await bench.refused("gs://models/iris")).reason == "DiskFull"
    assert bench.published == []


async def test_tokens_that_are_about_to_end_are_renewed(gcs, bench):
    gcs.lives = 10
    await bench.fetch("gs://models/iris")
    assert gcs.tokens > 2


async def test_public_buckets_need_no_credentials(gcs, bench):
    gcs.public = True
    bench.set(environment={"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{gcs.port}"}, files={})
    assert (await bench.fetch("gs://models/iris")).size == 14
    assert all("authorization" not in asked.headers for asked in gcs.seen)


@pytest.mark.parametrize(
    ("uri", "content", "reason", "words"),
    [
        pytest.param("gs://none/x", {}, "ModelNotFound", 'bucket "none"', id="no such bucket"),
        pytest.param("gs://models/none", {}, "ModelNotFound", "no file", id="no such path"),
        pytest.param(
            "gs://models/iris",
            {"client_email": "other@x"},
            "AuthenticationFailed",
            "invalid_grant",
            id="an account that Google does not know",
        ),
        pytest.param(
            "gs://models/iris",
            {"private_key": "no key"},
            "InvalidStorageSettings",
            "private_key",
            id="a key that is none",
        ),
        pytest.param(
            "gs://models/iris",
            {"client_email": ""},
            "InvalidStorageSettings",
            "client_email",
            id="a file that lacks a field",
        ),
        pytest.param(
            "gs://models/iris",
            {"type": "external_account"},
            "InvalidStorageSettings",
            '"external_account"',
            id="a kind of credentials that is not read",
        ),
    ],
)
async def test_errors_name_the_value_and_no_secret(gcs, bench, uri, content, reason, words):
    bench.set(files={PATH: json.dumps({**gcs.credentials, **content})}, attempts=1)
    error = await bench.refused(uri)
    assert error.reason == reason
    assert words in error.message
    assert "PRIVATE KEY" not in error.message


async def test_a_bucket_that_is_not_public_says_that_there_were_no_credentials(gcs, bench):
    bench.set(environment={"STORAGE_EMULATOR_HOST": f"127.0.0.1:{gcs.port}"}, files={})
    error = await bench.refused("gs://models/iris")
    assert error.reason == "AccessDenied"
    assert "asked without credentials" in error.message


async def test_an_emulator_that_is_no_address_is_named(gcs, bench):
    bench.set(environment={"STORAGE_EMULATOR_HOST": "ftp://x"})
    assert '"ftp://x"' in (await bench.refused("gs://models/iris")).message
