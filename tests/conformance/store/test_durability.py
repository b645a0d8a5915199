"""What only the store in a file promises: nothing acknowledged is lost, nothing is guessed at."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import Expired
from sampan.machinery.registry import Registry
from sampan.machinery.store import Key, Store, StoreLimits, WatchOptions
from sampan.machinery.store_sqlite import SqliteStore, StoreFault

MAPS = "configmaps"

WRITER = """
import asyncio, sys
from pathlib import Path
from sampan.machinery.clock import SystemClock
from sampan.machinery.registry import Registry, Resource
from sampan.machinery.store_sqlite import SqliteStore

async def write(store, lane):
    n = 0
    while True:
        name = f"{lane}-{n}"
        obj = {"metadata": {"name": name, "namespace": "a"}, "data": {"n": "0"}}
        made = await store.create("configmaps", obj)
        made["data"]["n"] = "1"
        made = await store.update("configmaps", made)
        print(name, made["metadata"]["resourceVersion"], flush=True)
        n += 1

async def main():
    registry = Registry((Resource("", "v1", "ConfigMap", "configmaps", generation=False),))
    store = SqliteStore(Path(sys.argv[1]), registry, SystemClock())
    await asyncio.gather(*(write(store, lane) for lane in range(4)))

asyncio.run(main())
"""


@pytest.fixture
def open_store(tmp_path: Path, registry: Registry) -> Callable[..., Store]:
    def open_it(limits: StoreLimits | None = None) -> Store:
        path = tmp_path / "state" / "store.db"
        return SqliteStore(path, registry, SystemClock(), limits or StoreLimits())

    return open_it


def kill_while_writing(path: Path, seconds: float) -> dict[str, str]:
    """Run a writer, kill it with SIGKILL; return what it was told is stored, name to version."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    time.sleep(seconds)
    os.kill(writer.pid, signal.SIGKILL)
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    # The last line may be cut off; what it would have said was not acknowledged.
    whole = [line.decode().split() for line in lines if line.endswith(b"\n")]
    return {line[0]: line[1] for line in whole}


def run_writer(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITER, path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_every_acknowledged_write_survives_kill_9(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    acknowledged: dict[str, str] = {}
    for round_ in range(4):
        path = tmp_path / "state" / "store.db"
        told = kill_while_writing(path, 0.1 + 0.07 * round_)
        assert told
        acknowledged |= told
        store = open_store()
        page = await store.list(MAPS)
        stored = {o["metadata"]["name"]: o for o in page.items}
        for name, version in told.items():
            assert stored[name]["metadata"]["resourceVersion"] == version
            assert stored[name]["data"] == {"n": "1"}
        assert all(int(page.resource_version) >= int(v) for v in told.values())
        for name in stored:
            await store.delete(Key(MAPS, "a", name))
        await store.close()
    assert acknowledged


async def test_versions_go_on_growing_after_everything_was_deleted(
    open_store: Callable[..., Store],
) -> None:
    store = open_store()
    await store.create(MAPS, {"metadata": {"name": "x", "namespace": "a"}})
    gone = await store.delete(Key(MAPS, "a", "x"))
    await store.close()
    store = open_store()
    made = await store.create(MAPS, {"metadata": {"name": "x", "namespace": "a"}})
    await store.close()
    assert int(made["metadata"]["resourceVersion"]) > int(gone["metadata"]["resourceVersion"])


async def test_a_watch_goes_on_across_a_restart(open_store: Callable[..., Store]) -> None:
    store = open_store()
    since = (await store.list(MAPS)).resource_version
    made = await store.create(MAPS, {"metadata": {"name": "x", "namespace": "a"}})
    await store.update(MAPS, {**made, "data": {"a": "1"}})
    await store.delete(Key(MAPS, "a", "x"))
    await store.close()
    store = open_store()
    events = store.watch(MAPS, options=WatchOptions(since=since))
    assert [(await anext(events)).type for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]
    await store.close()


async def test_a_shorter_history_after_a_restart_expires_what_it_drops(
    open_store: Callable[..., Store],
) -> None:
    store = open_store()
    since = (await store.list(MAPS)).resource_version
    for n in range(20):
        await store.create(MAPS, {"metadata": {"name": f"m{n}", "namespace": "a"}})
    await store.close()
    store = open_store(StoreLimits(events=5))
    with pytest.raises(Expired):
        await anext(store.watch(MAPS, options=WatchOptions(since=since)))
    assert len((await store.list(MAPS)).items) == 20
    await store.close()


async def test_the_file_is_its_owners_alone(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    await store.create("configmaps", {"metadata": {"name": "x", "namespace": "a"}})
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()}
    assert set(modes.values()) == {0o600}, json.dumps(modes)
    await store.close()


async def test_a_second_opener_is_refused_with_the_path(
    tmp_path: Path, open_store: Callable[..., Store], registry: Registry
) -> None:
    store = open_store()
    path = tmp_path / "state" / "store.db"
    other = run_writer(path)
    assert other.returncode != 0
    assert f'"{path}" is open in another process' in other.stderr
    with pytest.raises(StoreFault, match="is open in another process; stop that one"):
        open_store()
    await store.create(MAPS, {"metadata": {"name": "unharmed", "namespace": "a"}})
    await store.close()


async def test_a_damaged_file_is_named_and_left_as_it_is(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    for n in range(200):
        obj = {"metadata": {"name": f"m{n}", "namespace": "a"}, "data": {"x": "y" * 500}}
        await store.create(MAPS, obj)
    await store.close()
    path = tmp_path / "state" / "store.db"
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content) - 4096, 4096):
        content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(StoreFault, match=r"is damaged .*put a backup in its place"):
        open_store()
    assert path.read_bytes() == bytes(content)


def damage_history(path: Path) -> None:
    """Break a page of the table of changes: no object is touched."""
    connection = sqlite3.connect(path)
    root = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'changes'"
    ).fetchone()
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    at = (root[0] - 1) * size
    content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)


async def test_a_damaged_file_with_every_object_is_read_and_never_written(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    store = open_store()
    for n in range(50):
        obj = {"metadata": {"name": f"m{n}", "namespace": "a"}, "data": {"x": "y" * 500}}
        await store.create(MAPS, obj)
    before = (await store.list(MAPS)).items
    await store.close()
    path = tmp_path / "state" / "store.db"
    damage_history(path)
    content = path.read_bytes()
    store = open_store()
    page = await store.list(MAPS)
    assert page.items == before
    assert int(page.resource_version) >= max(
        int(o["metadata"]["resourceVersion"]) for o in page.items
    )
    with pytest.raises(StoreFault, match=r"is damaged .*nothing is written; save it with kubectl"):
        await store.create(MAPS, {"metadata": {"name": "new", "namespace": "a"}})
    with pytest.raises(StoreFault, match="nothing is written"):
        await store.delete(Key(MAPS, "a", "m1"))
    assert (await store.list(MAPS)).items == before
    await store.close()
    assert path.read_bytes() == content


async def test_what_is_no_database_is_named(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    path = tmp_path / "state" / "store.db"
    path.parent.mkdir()
    path.write_bytes(b"this is a letter\n" * 500)
    with pytest.raises(StoreFault, match="is damaged"):
        open_store()


async def test_another_programs_database_is_left_alone(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    path = tmp_path / "state" / "store.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    with pytest.raises(StoreFault, match="is the database of another program"):
        open_store()


async def test_a_file_of_a_later_version_is_refused(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    await open_store().close()
    connection = sqlite3.connect(tmp_path / "state" / "store.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreFault, match="was written by a later Sampan"):
        open_store()


async def test_a_write_that_does_not_fit_on_the_disk_is_refused_and_not_shown(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "state" / "store.db"
    store = SqliteStore(path, registry, SystemClock())
    await store.create(MAPS, {"metadata": {"name": "first", "namespace": "a"}})
    # SQLite's own limit of pages stands for a full disk: the same SQLITE_FULL comes back.
    connection: sqlite3.Connection = store._journal._connection  # type: ignore[attr-defined]
    connection.execute("PRAGMA max_page_count = 1")
    big = {"metadata": {"name": "big", "namespace": "a"}, "data": {"x": "y" * 2_000_000}}
    with pytest.raises(StoreFault, match="no space is left"):
        await store.create(MAPS, big)
    assert [o["metadata"]["name"] for o in (await store.list(MAPS)).items] == ["first"]
    connection.execute("PRAGMA max_page_count = 1000000")
    await store.create(MAPS, big)
    await store.close()


async def test_what_was_deleted_is_gone_from_the_file_once_its_history_is(
    open_store: Callable[..., Store], tmp_path: Path
) -> None:
    store = open_store(StoreLimits(events=10))
    word = "a-word-that-nobody-may-find"
    for n in range(20):  # more of it than later changes would write over
        metadata = {"name": f"key-{n}", "namespace": "a"}
        made = await store.create(MAPS, {"metadata": metadata, "data": {"n": word * 400}})
        made["data"]["n"] = word
        await store.update(MAPS, made)
        await store.delete(Key(MAPS, "a", f"key-{n}"))
    for n in range(150):
        await store.create(MAPS, {"metadata": {"name": f"later-{n}", "namespace": "a"}})
    await store.close()
    assert word.encode() not in (tmp_path / "state" / "store.db").read_bytes()
