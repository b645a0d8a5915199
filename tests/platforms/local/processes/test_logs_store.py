"""Logs: written by the replica itself, rotated under it, read as one stream."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.plan.types import ServiceKey
from sampan.platforms.local import rotation
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.logs import LogLimits, LogStore

KEY = ServiceKey("default", "iris")


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on the disk (its heads collapse) and one in memory (holes are punched)."""
    if request.param == "disk":
        yield tmp_path
        return
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


async def read(store: LogStore, **options: Any) -> list[str]:
    return [line async for line in store.tail(KEY, "a", **options)]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_the_newest_lines(folder: Path) -> None:
    store = LogStore(folder)
    append(store.begin(KEY, "a"), b"one\ntwo\r\nthr\xffee\nfour")
    assert await read(store) == ["one", "two", "thr�ee", "four"]
    assert await read(store, lines=1) == ["thr�ee", "four"]
    assert store.last_lines(KEY, "a", 2) == ("thr�ee", "four")


async def test_no_log_is_no_lines(folder: Path) -> None:
    store = LogStore(folder)
    assert await read(store) == []
    assert await read(store, follow=True) == []
    assert await read(store, previous=True) == []
    assert store.last_lines(KEY, "a", 5) == ()


def test_a_log_never_leaves_its_folder(folder: Path) -> None:
    with pytest.raises(ValueError, match="outside"):
        LogStore(folder / "logs").path(ServiceKey("..", ".."), "a")


async def test_the_log_of_the_run_before_is_kept_once(folder: Path) -> None:
    store = LogStore(folder)
    for run in (b"first\n", b"second\n", b"third\n"):
        append(store.begin(KEY, "a"), run)
    assert await read(store) == ["third"]
    assert await read(store, previous=True) == ["second"]
    store.remove(KEY, "a")
    assert not list(store.path(KEY, "a").parent.iterdir())


WRITER = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[2])):
    os.write(file, b"%09d %s\\n" % (number, b"x" * 90))
"""


async def test_rotation_under_a_writer_loses_no_line(folder: Path) -> None:
    """One process writes 8 MB as fast as it can while its file is cut to 64 KiB again and again."""
    count = 80_000
    store = LogStore(folder, LogLimits(max_bytes=1 << 16, max_files=1000))
    path = store.begin(KEY, "a")
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", WRITER, str(path), str(count)
    )
    while writer.returncode is None:
        await asyncio.to_thread(store.rotate, KEY, "a")
        await asyncio.sleep(0.005)
    store.rotate(KEY, "a")
    assert len(rotation.parts(path)) > 10
    lines = await read(store)
    assert [int(line.split()[0]) for line in lines] == list(range(count))
    used = path.stat().st_blocks * 512
    assert used <= (1 << 16) + 8192


async def test_a_follower_sees_each_line_once_through_rotation_and_restart(folder: Path) -> None:
    store = LogStore(folder, LogLimits(max_bytes=1 << 14, max_files=1000))
    path = store.begin(KEY, "a")
    seen: list[str] = []

    async def follow() -> None:
        async for line in store.tail(KEY, "a", follow=True):
            seen.append(line)  # noqa: PERF401 # the list is watched while it grows

    following = asyncio.create_task(follow())
    wanted = []
    for batch in range(40):
        lines = [f"{batch}-{number} {'y' * 80}" for number in range(20)]
        wanted += lines
        append(path, "".join(f"{line}\n" for line in lines).encode())
        await asyncio.to_thread(store.rotate, KEY, "a")
        await asyncio.sleep(0.12 if batch % 5 == 0 else 0)
        if batch == 20:
            await asyncio.sleep(0.3)
            path = store.begin(KEY, "a")
    await asyncio.sleep(0.4)
    assert seen == wanted
    store.remove(KEY, "a")
    await asyncio.wait_for(following, 2)


def test_only_so_many_files_are_kept(folder: Path) -> None:
    store = LogStore(folder, LogLimits(max_bytes=4096, max_files=3))
    path = store.begin(KEY, "a")
    append(path, b"z" * 80 + b"\n")
    for _ in range(20):
        append(path, (b"z" * 80 + b"\n") * 60)
        store.rotate(KEY, "a")
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["a.log", "a.log.1", "a.log.2"]


@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(st.integers(1, 9000), min_size=1, max_size=12),
    wanted=st.integers(0, 50),
)
def test_the_parts_are_the_stream_byte_for_byte(writes: list[int], wanted: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        store = LogStore(Path(name), LogLimits(max_bytes=4096, max_files=100))
        path = store.begin(KEY, "a")
        stream = b""
        for number, size in enumerate(writes):
            data = (b"%d" % number * size + b"\n")[-size:]
            append(path, data)
            stream += data
            store.rotate(KEY, "a")
        whole = b"".join(p.read_bytes() for p in reversed(rotation.parts(path)))
        assert whole.replace(b"\0", b"") == stream
        lines = stream.decode().splitlines()
        newest = lines[max(0, len(lines) - wanted) :]
        assert store.last_lines(KEY, "a", wanted) == tuple(newest)


async def test_a_replica_writes_on_while_no_daemon_runs(
    launch: Callable[..., Launcher], make: Any, settled: Any, until: Any, python: tuple[str, ...]
) -> None:
    program = """
import time
for number in range(100_000):
    print(number, flush=True)
    time.sleep(0.002)
"""
    limits = LogLimits(max_bytes=4096, max_files=1000)
    first = launch(logs=limits)
    await first.start(make("a", *python, program))
    await settled(first, "a", lambda s: s.running)
    await asyncio.sleep(0.3)
    await first.close(stop_all=False)
    await asyncio.sleep(0.3)
    second = launch(logs=limits)
    await second.adopt()
    await until(lambda: len(rotation.parts(second.logs.path(KEY, "a"))) > 1)  # it has been cut
    lines = [line async for line in second.logs.tail(make("a").service, "a")]
    assert [int(line) for line in lines[:-1]] == list(range(len(lines) - 1))


def test_a_head_that_cannot_be_copied_leaves_nothing_open(folder: Path) -> None:
    path = folder / "a.log"
    append(path, b"z" * 10_000)
    rotation.partial_path(path).mkdir()  # in the way of the copy, as a full disk is
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(IsADirectoryError):
        rotation.copy_head(path, 4096)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_is_emptied_while_it_is_copied_is_left_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = folder / "a.log", os.pread
    append(path, b"z" * 10_000)

    def read_emptied(descriptor: int, count: int, offset: int) -> bytes:
        os.truncate(path, 0)  # as `: > a.log` does
        return read(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", read_emptied)
    assert rotation.copy_head(path, 4096) is None
    assert [each.name for each in folder.iterdir()] == ["a.log"]


async def test_housekeeping_outlives_a_disk_that_takes_nothing(
    launch: Callable[..., Launcher],
    make: Any,
    until: Any,
    python: tuple[str, ...],
) -> None:
    launcher = launch(logs=LogLimits(max_bytes=4096), housekeeping_seconds=0.05)
    path = launcher.logs.path(KEY, "a")
    rotation.partial_path(path).mkdir()
    await launcher.adopt()
    await launcher.start(make("a", *python, "print('z' * 9000); import time; time.sleep(60)"))
    await until(lambda: path.exists() and path.stat().st_size > 9000)
    await asyncio.sleep(0.3)
    rotation.partial_path(path).rmdir()
    await until(lambda: len(rotation.parts(path)) > 1)


def test_logs_are_for_their_owner_only(tmp_path: Path) -> None:
    path = LogStore(tmp_path / "logs").begin(KEY, "a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_a_crash_between_copy_and_cut_repeats_but_never_loses(folder: Path) -> None:
    path = folder / "a.log"
    append(path, b"".join(b"%06d\n" % n for n in range(2000)))
    head = rotation.copy_head(path, 4096)
    assert head is not None
    os.close(head.descriptor)  # here the daemon dies
    assert path.read_bytes().count(b"\n") == 2000
    store = LogStore(folder)
    assert store.limits.max_files == 5
    again = rotation.copy_head(path, 4096)
    assert again is not None
    assert rotation.cut_head(path, again, 5) is not None
    assert not path.with_name("a.log.partial").exists()
    whole = b"".join(p.read_bytes() for p in reversed(rotation.parts(path)))
    assert [int(n) for n in whole.replace(b"\0", b"").split()] == list(range(2000))


def test_the_writer_of_the_test_is_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    subprocess.run((sys.executable, "-I", "-S", "-c", WRITER, str(path), "3"), check=True)
    assert path.read_bytes().count(b"\n") == 3
