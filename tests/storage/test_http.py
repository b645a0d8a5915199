"""Models over HTTP, from servers that stall, cut, lie and change their minds."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import sys
import threading
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BODY = bytes(range(256)) * 4096  # 1 MiB


async def test_a_file_becomes_a_folder_that_holds_it(origin, bench):
    fetched = await bench.fetch(f"{origin.root}/a/model.joblib")
    assert [p.name for p in fetched.path.iterdir()] == ["model.joblib"]
    assert (fetched.path / "model.joblib").read_bytes() == b"model"
    assert (fetched.size, fetched.cached) == (5, False)


async def test_an_unchanged_file_is_not_transferred_again(origin, bench):
    first = await bench.fetch(f"{origin.root}/m.bin")
    second = await bench.fetch(f"{origin.root}/m.bin")
    assert (second.path, second.cached) == (first.path, True)
    assert origin.seen[1].headers["if-none-match"] == '"1"'


async def test_a_file_whose_copy_was_cleared_away_is_transferred_again(origin, bench):
    first = await bench.fetch(f"{origin.root}/m.bin")
    shutil.rmtree(first.path)
    second = await bench.fetch(f"{origin.root}/m.bin")
    assert (second.path / "m.bin").read_bytes() == b"model"
    assert not second.cached


async def test_a_changed_file_is_a_new_entry_and_the_old_one_stays(origin, bench):
    first = await bench.fetch(f"{origin.root}/m.bin")
    origin.body, origin.etag = b"other", '"2"'
    second = await bench.fetch(f"{origin.root}/m.bin")
    assert (second.path / "m.bin").read_bytes() == b"other"
    assert (first.path / "m.bin").read_bytes() == b"model"


async def test_without_validators_the_same_bytes_are_the_same_entry(origin, bench):
    origin.etag, origin.headers = "", {}
    first = await bench.fetch(f"{origin.root}/m.bin")
    again = await bench.fetch(f"{origin.root}/m.bin")
    origin.body = b"new"
    changed = await bench.fetch(f"{origin.root}/m.bin")
    assert first.path == again.path != changed.path
    assert (changed.path / "m.bin").read_bytes() == b"new"


async def test_a_cut_download_goes_on_where_it_ended(origin, bench):
    origin.body, origin.acts = BODY, [origin.act.cut(100_000), origin.act.cut(200_000)]
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == BODY
    assert origin.sent_bytes_from() == [0, 100_000, 300_000]
    assert origin.seen[1].headers["if-range"] == '"1"'


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 40_000), max_size=4), length=st.integers(0, 100_000))
async def test_wherever_it_is_cut_the_file_is_whole(origin, bench, cuts: list[int], length: int):
    origin.body = hashlib.shake_128(repr((cuts, length)).encode()).digest(length)
    origin.etag = f'"{hashlib.sha256(origin.body).hexdigest()}"'
    origin.acts = [origin.act.cut(n) for n in cuts]
    fetched = await bench.fetch(f"{origin.root}/{origin.etag[1:9]}.bin")
    assert next(fetched.path.iterdir()).read_bytes() == origin.body


async def test_a_server_that_ignores_ranges_sends_all_anew(origin, bench):
    origin.body, origin.acts = BODY, [origin.act.cut(100_000), origin.act.ignore_range]
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == BODY


async def test_a_file_that_changes_midway_is_never_mixed(origin, bench):
    new = b"n" * len(BODY)

    async def change(origin, asked, writer):
        origin.body, origin.etag = new, '"2"'
        await origin.act.serve(origin, asked, writer)

    origin.body, origin.acts = BODY, [origin.act.cut(100_000), change]
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == new


async def test_a_part_of_another_version_is_not_appended(origin, bench):
    async def wrong(origin, asked, writer):
        origin.body, origin.etag = b"n" * len(BODY), '"2"'
        asked.headers.pop("if-range")  # a server that does not know it
        await origin.act.serve(origin, asked, writer)

    origin.body, origin.acts = BODY, [origin.act.cut(100_000), wrong]
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == b"n" * len(BODY)


async def test_a_stalled_download_names_seconds_and_bytes(origin, bench):
    bench.set(stall_seconds=0.2, attempts=1)
    origin.acts = [origin.act.cut(3, stall=3)]
    error = await bench.refused(f"{origin.root}/m.bin")
    assert (error.reason, error.retryable) == ("DownloadStalled", True)
    assert "0.2 seconds after 3 bytes" in error.message
    assert bench.published == []


async def test_a_download_that_always_ends_early_is_truncated(origin, bench):
    bench.set(attempts=3)
    origin.acts = [origin.act.cut(0)] * 3
    assert (await bench.refused(f"{origin.root}/m.bin")).reason == "DownloadTruncated"
    assert len(origin.seen) == 3
    assert bench.clock.slept == [0.375, 0.75]


@pytest.mark.parametrize(
    ("code", "reason", "retryable"),
    [
        (401, "AuthenticationFailed", False),
        (403, "AccessDenied", False),
        (404, "ModelNotFound", False),
        (418, "UnexpectedStatus", False),
        (503, "SourceUnavailable", True),
    ],
)
async def test_each_status_has_its_reason(origin, bench, code, reason, retryable):
    bench.set(attempts=1)
    origin.acts = [origin.act.status(code)]
    error = await bench.refused(f"{origin.root}/m.bin")
    assert (error.reason, error.retryable) == (reason, retryable)
    assert str(code) in error.message


async def test_a_server_error_is_waited_out_as_long_as_it_asks(origin, bench):
    origin.acts = [origin.act.status(500), origin.act.status(429, Retry_After="7")]
    assert (await bench.fetch(f"{origin.root}/m.bin")).size == 5
    assert bench.clock.slept == [0.375, 7.0]


async def test_a_body_without_length_is_taken(origin, bench):
    origin.body, origin.acts = BODY, [origin.act.chunked]
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == BODY


async def test_a_body_without_length_is_bounded_too(origin, bench):
    bench.set(max_bytes=10_000)
    origin.body, origin.acts = BODY, [origin.act.chunked]
    assert (await bench.refused(f"{origin.root}/m.bin")).reason == "DownloadTooLarge"


async def test_a_page_in_place_of_a_model_is_refused(origin, bench):
    origin.headers = {"Content-Type": "text/html; charset=utf-8"}
    assert (await bench.refused(f"{origin.root}/m.bin")).reason == "UnexpectedContent"


def promise(algorithm: str, body: bytes) -> str:
    return b64encode(hashlib.new(algorithm, body).digest()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": promise("md5", b"x")},
        {"Digest": f"SHA-256={promise('sha256', b'x')}"},
        {"Repr-Digest": f"sha-256=:{promise('sha256', b'x')}:"},
        {"x-goog-hash": f"crc32c=AAAAAA==, md5={promise('md5', b'x')}"},
        {
            "ETag": '"9dd4e461268c8034f5c8564e155c67a6"',
            "Server": "AmazonS3",
            "x-amz-request-id": "1",
        },
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_a_promised_checksum_is_kept_or_the_model_refused(origin, bench, headers):
    origin.headers = headers
    origin.etag = ""
    error = await bench.refused(f"{origin.root}/m.bin")
    assert error.reason == "ChecksumMismatch"
    assert bench.published == []
    origin.body = b"x"
    assert (await bench.fetch(f"{origin.root}/m.bin")).size == 1


async def test_the_fragment_is_a_checksum_and_pins_the_model(origin, bench):
    digest = hashlib.sha256(b"model").hexdigest()
    uri = f"{origin.root}/m.bin#sha256={digest}"
    await bench.fetch(uri)
    origin.body, origin.etag = b"other", '"2"'
    again = await bench.fetch(uri)
    assert (again.path / "m.bin").read_bytes() == b"model"
    assert len(origin.seen) == 1
    wrong = f"{origin.root}/m.bin#sha256={'0' * 64}"
    assert (await bench.refused(wrong)).reason == "ChecksumMismatch"


async def test_when_the_source_is_away_the_copy_serves_and_says_so(origin, bench):
    first = await bench.fetch(f"{origin.root}/m.bin")
    await origin.stop()
    away = await bench.fetch(f"{origin.root}/m.bin")
    assert (away.path, away.cached) == (first.path, True)
    assert "the copy of 2027-01-15T08:00:00Z is served" in away.note
    assert first.note == ""


async def test_a_full_disk_is_told_before_anything_is_written(origin, bench):
    bench.world = replace(bench.world, free_bytes=lambda _: 1000)
    bench.set(reserve_bytes=500)
    origin.body = b"x" * 600
    error = await bench.refused(f"{origin.root}/m.bin")
    assert (error.reason, error.retryable) == ("DiskFull", True)
    assert "600 B" in error.message
    origin.body, origin.etag = b"x" * 400, '"2"'
    assert (await bench.fetch(f"{origin.root}/m.bin")).size == 400


async def test_cancelling_publishes_nothing_and_keeps_the_part(origin, bench):
    origin.body, origin.acts = BODY, [origin.act.cut(600_000, stall=30)]
    task = asyncio.create_task(bench.fetch(f"{origin.root}/m.bin"))
    while not any(p.stat().st_size for p in (bench.options.cache / "work").glob("*/body")):
        await asyncio.sleep(0.01)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.published == []
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == BODY
    assert origin.sent_bytes_from()[1] >= 512 * 1024


CHILD = """
import asyncio, sys
from pathlib import Path
from sampan.storage.base import FetchOptions
from sampan.storage.fetch import fetch
root = Path(sys.argv[2])
options = FetchOptions(root, root, allowed_private_hosts=("127.0.0.1",), reserve_bytes=0)
print(asyncio.run(fetch(sys.argv[1], options)).path)
"""


class SlowDisk:
    """A disk that, asked for its room in the middle of a download, answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.let, self.calls = threading.Event(), threading.Event(), 0

    def free_bytes(self, _folder: Path) -> int:
        self.calls += 1
        if self.calls > 1:  # the first is before anything is written
            self.asked.set()
            self.let.wait(30)
        return 1 << 60


async def test_a_download_called_off_while_the_disk_writes_keeps_each_byte_once(origin, bench):
    bench.set(check_bytes=1)
    origin.body, disk = BODY, SlowDisk()
    bench.world = replace(bench.world, free_bytes=disk.free_bytes)
    fetching = asyncio.create_task(bench.fetch(f"{origin.root}/m.bin"))
    await asyncio.to_thread(disk.asked.wait, 30)
    fetching.cancel()
    await asyncio.sleep(0.2)
    assert not fetching.done()  # a thread still has the file
    disk.let.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    (part,) = (bench.options.cache / "work").glob("*/body")
    assert BODY.startswith(part.read_bytes())
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == BODY


async def start_child(uri: str, cache: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, uri, str(cache), stdout=asyncio.subprocess.PIPE
    )


async def test_two_processes_download_once(origin, bench):
    async def slowly(origin, asked, writer):
        await asyncio.sleep(1.5)
        await origin.act.serve(origin, asked, writer)

    origin.acts = [slowly]
    uri = f"{origin.root}/m.bin"
    children = [await start_child(uri, bench.options.cache) for _ in range(2)]
    first, second = [(await child.communicate())[0] for child in children]
    assert first == second != b""
    assert [a.headers.get("if-none-match") for a in origin.seen] == [None, '"1"']


async def test_a_killed_process_leaves_a_part_that_the_next_one_continues(origin, bench):
    origin.body, origin.acts = BODY, [origin.act.cut(700_000, stall=60)]
    child = await start_child(f"{origin.root}/m.bin", bench.options.cache)
    work = bench.options.cache / "work"
    while not any(p.stat().st_size >= 512 * 1024 for p in work.glob("*/body")):
        await asyncio.sleep(0.02)
        assert child.returncode is None
    os.kill(child.pid, signal.SIGKILL)
    await child.communicate()
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert (fetched.path / "m.bin").read_bytes() == BODY
    assert origin.sent_bytes_from()[1] >= 512 * 1024
