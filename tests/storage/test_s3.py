"""Models in S3, from a server that checks signatures, stalls, cuts, changes and refuses."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.storage.conftest import files_of
from tests.storage.s3_server import ID, S3, SECRET, cut, refuse

from sampan.storage.base import StorageError
from sampan.storage.objects.selection import StoredObject, select_files
from sampan.storage.patterns import Patterns
from sampan.storage.s3 import make_settings
from sampan.storage.s3_signing import AwsKeys, sign

BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
async def s3(bench) -> AsyncIterator[S3]:
    served = S3({"iris/model.joblib": b"weights", "iris/sub/labels.txt": b"one two"})
    await served.start()
    bench.set(environment=served.environment)
    yield served
    served.stop()


async def test_a_prefix_becomes_a_folder(s3, bench):
    fetched = await bench.fetch("s3://models/iris")
    assert files_of(fetched.path) == {"model.joblib": b"weights", "sub/labels.txt": b"one two"}
    assert (fetched.size, fetched.cached) == (14, False)
    assert bench.told[-1].total == 14


async def test_a_prefix_that_is_unchanged_transfers_nothing(s3, bench):
    first = await bench.fetch("s3://models/iris")
    s3.seen.clear()
    second = await bench.fetch("s3://models/iris")
    assert (second.path, second.cached) == (first.path, True)
    assert s3.objects_asked() == []


async def test_a_changed_object_is_noticed_and_the_old_folder_stays(s3, bench):
    first = await bench.fetch("s3://models/iris")
    s3.objects["iris/model.joblib"] = b"other!!"
    second = await bench.fetch("s3://models/iris")
    assert files_of(second.path)["model.joblib"] == b"other!!"
    assert files_of(first.path)["model.joblib"] == b"weights"


async def test_an_exact_name_is_one_file_though_a_folder_has_it_too(s3, bench):
    s3.objects |= {"both": b"file", "both/x": b"in the folder"}
    assert files_of((await bench.fetch("s3://models/both")).path) == {"both": b"file"}
    assert files_of((await bench.fetch("s3://models/both/")).path) == {"x": b"in the folder"}


async def test_a_prefix_does_not_take_what_only_begins_like_it(s3, bench):
    s3.objects["iris2/other"] = b"no"
    assert "other" not in files_of((await bench.fetch("s3://models/iris")).path)


async def test_folder_marks_and_empty_objects_are_left_out(s3, bench):
    s3.objects |= {"iris/": b"", "iris/deep/": b"x", "iris/empty": b""}
    assert sorted(files_of((await bench.fetch("s3://models/iris")).path)) == [
        "model.joblib",
        "sub/labels.txt",
    ]


async def test_names_of_all_letters_are_asked_for_and_signed_as_they_are(s3, bench):
    odd = "a b/+%20&=?#<ä>\U0001f600~'\"*"
    s3.objects = {f"iris/{odd}": b"odd"}
    assert files_of((await bench.fetch("s3://models/iris")).path) == {odd: b"odd"}


async def test_many_objects_come_page_by_page_and_a_few_at_once(s3, bench):
    s3.objects = {f"iris/{n:03}": b"%d" % n for n in range(100)}
    s3.page = 30
    bench.set(environment={**s3.environment, "S3_MAX_FILE_CONCURRENCY": "3"})
    fetched = await bench.fetch("s3://models/iris")
    assert len(files_of(fetched.path)) == 100
    assert s3.busiest <= 3


async def test_one_archive_is_unpacked(s3, bench):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        info = tarfile.TarInfo("inner/model.bin")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    s3.objects = {"packed/model.tar.gz": made.getvalue()}
    for uri in ("s3://models/packed", "s3://models/packed/model.tar.gz"):
        assert files_of((await bench.fetch(uri)).path) == {"inner/model.bin": b"abc"}


async def test_only_wanted_files_are_transferred(s3, bench):
    bench.set(patterns=Patterns(allow=("*.txt",)))
    fetched = await bench.fetch("s3://models/iris")
    assert list(files_of(fetched.path)) == ["sub/labels.txt"]
    assert s3.objects_asked() == ["iris/sub/labels.txt"]
    bench.set(patterns=Patterns(allow=("*.none",)))
    assert "wanted by the patterns" in (await bench.refused("s3://models/iris")).message


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("iris/../../x", id="dots lead out of the folder"),
        pytest.param("iris/a\\..\\x", id="backslashes divide on other systems"),
        pytest.param(f"iris/{'n' * 256}", id="longer than a file's name can be"),
    ],
)
async def test_names_that_are_no_files_are_refused_before_a_byte_comes(s3, bench, name):
    s3.objects[name] = b"x"
    error = await bench.refused("s3://models/iris")
    assert error.reason == "SourceRefused"
    assert s3.objects_asked() == []


async def test_a_name_that_begins_with_a_slash_stays_inside(s3, bench):
    s3.objects = {"iris//etc/passwd": b"x"}
    assert files_of((await bench.fetch("s3://models/iris")).path) == {"etc/passwd": b"x"}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("m/a", "m/a/b"), id="a file and a folder of one name"),
        pytest.param(("m/a/b", "m/a//b"), id="two names that are one path"),
    ],
)
def test_objects_that_want_one_place_are_named(names):
    with pytest.raises(StorageError) as caught:
        select_files([StoredObject(n, 1, "v") for n in names], "m/", "s3://b/m")
    assert all(f'"{name}"' in caught.value.message for name in names)


async def test_a_download_that_is_cut_goes_on_where_it_stopped(s3, bench):
    s3.objects = {"big": BODY}
    s3.acts = [cut(600_000), cut(300_000)]
    fetched = await bench.fetch("s3://models/big")
    assert files_of(fetched.path) == {"big": BODY}
    ranges = [a.headers.get("range", "") for a in s3.seen if a.key]
    assert ranges == ["", "bytes=600000-", "bytes=900000-"]


async def test_silence_in_the_middle_is_ended_and_tried_again(s3, bench):
    bench.set(stall_seconds=0.3)
    s3.objects = {"big": BODY}
    s3.acts = [cut(600_000, stall=60)]
    assert files_of((await bench.fetch("s3://models/big")).path) == {"big": BODY}
    assert any("DownloadStalled" in told.phase for told in bench.told)


async def test_an_object_that_changes_between_list_and_get_is_listed_again(s3, bench):
    async def change(server, asked, writer):
        server.objects["iris/model.joblib"] = b"newer!!"
        await refuse(412, "PreconditionFailed")(server, asked, writer)

    s3.objects.pop("iris/sub/labels.txt")
    s3.acts = [change]
    assert files_of((await bench.fetch("s3://models/iris")).path) == {"model.joblib": b"newer!!"}


async def test_a_store_that_asks_for_less_is_left_alone_for_a_while(s3, bench):
    s3.acts = [refuse(503, "SlowDown", Retry_After="7")]
    s3.list_acts = [refuse(503, "SlowDown")]
    await bench.fetch("s3://models/iris")
    assert 7 in bench.clock.slept


async def test_a_process_that_is_killed_keeps_what_came(s3, bench, tmp_path):
    s3.objects = {"big": BODY * 8, "small": b"x"}
    hanging = asyncio.Event()

    async def hang(server, asked, writer):
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(BODY * 8))
        writer.write((BODY * 8)[:5_000_000])
        await writer.drain()
        hanging.set()
        await asyncio.sleep(60)

    s3.acts = [hang]
    code = (
        "import asyncio, json, sys\n"
        "from pathlib import Path\n"
        "from sampan.storage.base import FetchOptions\n"
        "from sampan.storage.fetch import fetch\n"
        "o = FetchOptions(Path(sys.argv[1]), Path(sys.argv[1]), ('127.0.0.1',),\n"
        "                 environment=json.loads(sys.argv[2]), reserve_bytes=0)\n"
        "asyncio.run(fetch('s3://models/big', o))\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(bench.options.cache), json.dumps(s3.environment)
    )
    await asyncio.wait_for(hanging.wait(), 60)

    def arrived() -> int:
        return sum(p.stat().st_size for p in (bench.options.cache / "work").rglob("body"))

    while not arrived():  # written in pieces of half a megabyte  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    kept = arrived()
    fetched = await bench.fetch("s3://models/big")
    assert files_of(fetched.path) == {"big": BODY * 8}
    assert s3.seen[-1].headers["range"] == f"bytes={kept}-"


async def initialize(folder: Path, log: Path, **variables: str) -> tuple[int, str]:
    """Run the init container with the variables of a pod."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sampan.app.storage_initializer", "s3://models/iris", str(folder),
        env={**os.environ, **variables, "SAMPAN_TERMINATION_LOG": str(log)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, told.decode()


async def test_the_init_container_takes_the_variables_that_the_webhook_writes(s3, tmp_path):
    log = tmp_path / "termination-log"
    log.touch()
    wanted = {"STORAGE_IGNORE_PATTERNS": "*.txt"}
    code, told = await initialize(tmp_path / "m", log, **s3.environment, **wanted)
    assert (code, files_of(tmp_path / "m")) == (0, {"model.joblib": b"weights"}), told
    wrong = {**s3.environment, "AWS_SECRET_ACCESS_KEY": "wr0ng"}
    code, told = await initialize(tmp_path / "n", log, **wrong)
    assert code == 1
    assert "SignatureDoesNotMatch" in log.read_text()
    assert told.strip().endswith(log.read_text())
    assert "wr0ng" not in told


async def test_cancelling_publishes_nothing_and_lets_the_next_try_in(s3, bench):
    s3.objects = {"big": BODY}
    s3.acts = [cut(600_000, stall=60)]
    task = asyncio.create_task(bench.fetch("s3://models/big"))
    while not s3.objects_asked():  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.published == []
    assert files_of((await bench.fetch("s3://models/big")).path) == {"big": BODY}


async def test_too_much_is_refused_by_the_listing(s3, bench):
    bench.set(max_bytes=10)
    assert (await bench.refused("s3://models/iris")).reason == "DownloadTooLarge"
    bench.set(max_bytes=10**9, max_files=1)
    assert (await bench.refused("s3://models/iris")).reason == "DownloadTooLarge"
    assert s3.objects_asked() == []


async def test_a_full_disk_is_told_before_a_byte_comes(s3, bench):
    bench.set(reserve_bytes=shutil.disk_usage(bench.options.cache.parent).free * 2)
    error = await bench.refused("s3://models/iris")
    assert (error.reason, error.retryable) == ("DiskFull", True)
    assert s3.objects_asked() == []


@pytest.mark.parametrize(
    ("uri", "variables", "reason", "words"),
    [
        pytest.param(
            "s3://none/x", {}, "ModelNotFound", 'bucket "none"', id="the bucket is not there"
        ),
        pytest.param(
            "s3://models/none", {}, "ModelNotFound", "holds no file", id="the path is not there"
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "AuthenticationFailed",
            "SignatureDoesNotMatch",
            id="the secret is wrong",
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_ACCESS_KEY_ID": "who"},
            "AuthenticationFailed",
            "InvalidAccessKeyId",
            id="the key is unknown",
        ),
        pytest.param(
            "s3://models/iris",
            {"awsAnonymousCredential": "true"},
            "AccessDenied",
            "without credentials",
            id="nobody may read it",
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_SECRET_ACCESS_KEY": ""},
            "InvalidStorageSettings",
            "AWS_SECRET_ACCESS_KEY is not",
            id="half of a key pair",
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_ENDPOINT_URL": "minio:9000"},
            "InvalidStorageSettings",
            '"minio:9000"',
            id="an endpoint without a scheme",
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_ENDPOINT_URL": "http://10.255.255.1:9"},
            "SourceRefused",
            "10.255.255.1",
            id="an endpoint in a private network that nobody allowed",
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_ENDPOINT_URL": "http://169.254.169.254"},
            "SourceRefused",
            "metadata",
            id="the cloud's metadata as an endpoint",
        ),
        pytest.param(
            "s3://models/iris",
            {"AWS_CA_BUNDLE": "/none/ca.crt"},
            "InvalidStorageSettings",
            "/none/ca.crt",
            id="a CA bundle that is not there",
        ),
        pytest.param(
            "s3://models/iris",
            {"S3_READ_TIMEOUT": "soon"},
            "InvalidStorageSettings",
            '"soon"',
            id="a timeout that is no number",
        ),
        pytest.param("s3://m/x", {}, "InvalidURI", '"m"', id="no possible name of a bucket"),
        pytest.param("s3://models/a/../b", {}, "InvalidURI", '".."', id="a path that goes back"),
    ],
)
async def test_errors_name_the_value_and_no_secret(s3, bench, uri, variables, reason, words):
    bench.set(environment={**s3.environment, **variables}, attempts=1)
    error = await bench.refused(uri)
    assert error.reason == reason
    assert words in error.message
    assert SECRET not in error.message
    assert "s3cret" not in repr(bench.options)


async def test_access_denied_names_what_is_missing(s3, bench):
    s3.list_acts = [refuse(403, "AccessDenied")]
    error = await bench.refused("s3://models/iris")
    assert (error.reason, "list and read" in error.message) == ("AccessDenied", True)


async def test_an_endpoint_that_is_away_is_told(s3, bench):
    bench.set(environment={**s3.environment, "S3_MAX_ATTEMPTS": "1"})
    await s3.away()
    error = await bench.refused("s3://models/iris")
    assert (error.reason, error.retryable) == ("ConnectionFailed", True)


async def test_what_is_no_s3_is_told(s3, bench):
    async def page(server, asked, writer):
        body = b"<html>hello</html>"
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def bomb(server, asked, writer):
        body = b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>'
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    for act in (page, bomb):
        s3.list_acts = [act]
        assert (await bench.refused("s3://models/iris")).reason == "UnexpectedContent"


async def test_a_public_bucket_needs_no_keys_and_its_copy_outlives_the_store(s3, bench):
    s3.public = True
    bench.set(environment={"AWS_ENDPOINT_URL": s3.environment["AWS_ENDPOINT_URL"]})
    first = await bench.fetch("s3://models/iris")
    await s3.away()
    second = await bench.fetch("s3://models/iris")
    assert second.path == first.path
    assert "is served, because there is no connection" in second.note


async def test_wrong_keys_do_not_read_what_right_ones_fetched(s3, bench):
    await bench.fetch("s3://models/iris")
    bench.set(environment={**s3.environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert (await bench.refused("s3://models/iris")).reason == "AuthenticationFailed"
    await s3.away()
    bench.set(attempts=1)
    assert (await bench.refused("s3://models/iris")).reason == "ConnectionFailed"


async def test_a_storage_entry_and_its_changes_are_settings(s3, bench):
    entry = {
        "type": "s3",
        "access_key_id": ID,
        "secret_access_key": "old",
        "endpoint_url": s3.environment["AWS_ENDPOINT_URL"],
    }
    override = {"secret_access_key": SECRET}
    bench.set(
        environment={
            "STORAGE_CONFIG": json.dumps(entry),
            "STORAGE_OVERRIDE_CONFIG": json.dumps(override),
        }
    )
    assert (await bench.fetch("s3://models/iris")).size == 14


@pytest.mark.parametrize(
    ("variables", "bucket", "url"),
    [
        pytest.param({}, "b1", "https://b1.s3.us-east-1.amazonaws.com", id="Amazon's own"),
        pytest.param(
            {"AWS_DEFAULT_REGION": "eu-west-3"},
            "b1",
            "https://b1.s3.eu-west-3.amazonaws.com",
            id="a region",
        ),
        pytest.param(
            {}, "b.1", "https://s3.us-east-1.amazonaws.com/b.1", id="a dot breaks the certificate"
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://minio:9000/"}, "b1", "http://minio:9000/b1", id="a server"
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://minio:9000", "S3_USER_VIRTUAL_BUCKET": "true"},
            "b1",
            "http://b1.minio:9000",
            id="virtual buckets, in KServe's spelling",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": "https://s3.amazonaws.com", "AWS_DEFAULT_REGION": "eu-west-3"},
            "b1",
            "https://b1.s3.amazonaws.com",
            id="the old endpoint in another region",
        ),
        pytest.param(
            {"S3_USE_ACCELERATE": "true"}, "b1", "https://b1.s3-accelerate.amazonaws.com", id="fast"
        ),
    ],
)
def test_buckets_are_where_botocore_looks_for_them(variables, bucket, url):
    assert make_settings(variables, bucket).endpoint.bucket_url(bucket) == url


def test_signatures_are_those_of_amazons_documentation():
    """AWS, "Examples: Signature Calculations", GET Object and GET Bucket (List Objects)."""
    keys = AwsKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    at, host = 1369353600.0, "https://examplebucket.s3.amazonaws.com"  # 2013-05-24
    got = sign(f"{host}/test.txt", keys, "us-east-1", at, {"Range": "bytes=0-9"})
    assert got["Authorization"].endswith(
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    listed = sign(f"{host}/?max-keys=2&prefix=J", keys, "us-east-1", at)
    assert listed["Authorization"].endswith(
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )
