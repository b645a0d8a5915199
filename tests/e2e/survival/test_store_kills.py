"""`kill -9` of the daemon, again and again, while objects are written and watched.

Held throughout: every acknowledged write is there, no resourceVersion is given twice, and a watch
that is resumed goes on where it ended, without gap or repeat. The seed is printed at a failure and
taken from `SAMPAN_SEED`.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
AWAY = (OSError, http.client.HTTPException, ValueError, KeyError)
"""What a client sees of a daemon that has been killed."""
NAMES = 10
"""Objects a writer has: few, so that each is created, changed and deleted many times."""
UP_SECONDS = 240.0
"""How long a start may take on a machine that is busy with other things."""
LAST = "the-last"
"""Written when nobody else writes any more: who has been told of it has been told of everything."""

OURS = ("w", LAST)
"""How names begin that are written here; the daemon has objects of its own."""

Content = str | None
"""What an object holds; None: it is not there."""


@dataclass(frozen=True)
class Write:
    """One acknowledged write."""

    version: int
    name: str
    content: Content


@dataclass
class Writer:
    """A client with objects of its own: `possible` is what each may hold."""

    api: Any
    prefix: str
    chance: random.Random
    possible: dict[str, set[Content]] = field(default_factory=dict)
    acknowledged: list[Write] = field(default_factory=list)
    count: int = 0

    def work(self, over: threading.Event) -> None:
        """Write until it is over."""
        while not over.is_set():
            name = f"{self.prefix}-{self.chance.randrange(NAMES)}"
            try:
                there = self.settle(name)
                self.write(name, there=there)
            except AWAY:
                time.sleep(0.02)

    def settle(self, name: str) -> bool:
        """Read an object, hold it against what it may be; return whether it is there."""
        status, body = self.api.ask("GET", f"{MAPS}/{name}")
        assert status in {200, 404}, body
        found = body["data"]["text"] if status == 200 else None
        may = self.possible.get(name, {None})
        assert found in may, f"{name} holds {found!r}; acknowledged or under way was {may}"
        self.possible[name] = {found}
        return found is not None

    def write(self, name: str, *, there: bool) -> None:
        """Create, change or delete an object. Until the answer is read, it may hold either."""
        self.count += 1
        deletes = there and self.chance.random() < 0.25
        content: Content = None if deletes else f"{self.count} of {self.prefix}"
        self.possible[name] = {*self.possible[name], content}
        body = {"metadata": {"name": name}, "data": {"text": content}}
        if deletes:
            status, told = self.api.ask("DELETE", f"{MAPS}/{name}")
        elif there:
            status, told = self.api.ask("PATCH", f"{MAPS}/{name}", body, MERGE)
        else:
            status, told = self.api.ask("POST", MAPS, body)
        assert status in {200, 201}, (name, told)
        self.possible[name] = {content}
        if not deletes:  # what a delete answers is the object as it was
            version = int(told["metadata"]["resourceVersion"])
            self.acknowledged.append(Write(version, name, content))


@dataclass
class Watcher:
    """A client that follows all objects, resumed from the last version that it has seen."""

    api: Any
    version: int
    seen: list[tuple[int, str, Write]] = field(default_factory=list)
    resumed: int = 0

    def work(self, over: threading.Event) -> None:
        """Watch until it is over."""
        while not over.is_set():
            with suppress(*AWAY):
                self.follow(over)
            self.resumed += 1
            time.sleep(0.02)

    def follow(self, over: threading.Event) -> None:
        """Read the events of one connection."""
        told = self.api.address()
        connection = http.client.HTTPConnection(told["host"], told["port"], timeout=2)
        query = f"?watch=true&resourceVersion={self.version}&timeoutSeconds=3600"
        try:
            headers = {"Authorization": f"Bearer {told['token']}"}
            connection.request("GET", MAPS + query, headers=headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            while not over.is_set():
                line = response.readline()
                if not line.endswith(b"\n"):
                    return  # cut off: what is not whole was not told
                self.take(json.loads(line))
        finally:
            connection.close()

    def take(self, event: Any) -> None:
        """Note an event; the history is longer than any pause here, so none is gone from it."""
        kind, obj = event["type"], event["object"]
        assert kind in {"ADDED", "MODIFIED", "DELETED"}, event
        version = int(obj["metadata"]["resourceVersion"])
        assert version > self.version, f"{version} was told after {self.version}"
        self.version = version
        content = None if kind == "DELETED" else obj["data"]["text"]
        self.seen.append((version, kind, Write(version, obj["metadata"]["name"], content)))

    def objects(self) -> dict[str, str]:
        """Return the objects as the events leave them; each event must fit what was there."""
        there: dict[str, str] = {}
        for version, kind, write in self.seen:
            assert (write.name in there) == (kind != "ADDED"), (version, kind, write)
            if write.content is None:
                del there[write.name]
            else:
                there[write.name] = write.content
        return there


@contextmanager
def working(*clients: Any) -> Iterator[list[str]]:
    """Let clients work meanwhile; yields the assertions that failed among them."""
    over, problems = threading.Event(), list[str]()

    def guard(client: Any) -> None:
        try:
            client.work(over)
        except Exception as error:  # noqa: BLE001 # a client's assertion is the test's
            problems.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=guard, args=(c,), daemon=True) for c in clients]
    for thread in threads:
        thread.start()
    try:
        yield problems
    finally:
        over.set()
        for thread in threads:
            thread.join(UP_SECONDS)
        assert not any(thread.is_alive() for thread in threads), "a client hangs"


def start(sampan: Any, api: Any) -> subprocess.Popen[bytes]:
    """Start a daemon on the state that there is; return when its API answers."""
    command = [sys.executable, "-m", "sampan.app.local", "--port", str(sampan.port)]
    with (sampan.home / "daemon.log").open("ab") as log:
        daemon = subprocess.Popen(command, env=sampan.env, stdout=log, stderr=log)
    deadline = time.monotonic() + UP_SECONDS
    while True:
        with suppress(*AWAY):
            if sampan.daemon["pid"] == daemon.pid and api.ask("GET", MAPS)[0] == 200:
                return daemon
        assert daemon.poll() is None, (sampan.home / "daemon.log").read_text()[-2000:]
        assert time.monotonic() < deadline, "the daemon is not up"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
        pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
def test_a_killed_daemon_loses_no_acknowledged_write_reuses_no_version_and_resumes_watches(
    kills: int, make_sampan: Callable[[], Any], make_api: Callable[[Any], Any]
) -> None:
    seed = int(os.environ.get("SAMPAN_SEED") or random.randrange(1 << 32))
    sys.stdout.write(f"SAMPAN_SEED={seed}\n")
    chance = random.Random(seed)
    sampan = make_sampan()
    api = make_api(sampan)
    daemon = start(sampan, api)
    listed = api.ask("GET", MAPS)[1]
    writers = [Writer(api, f"w{n}", random.Random(chance.random())) for n in range(4)]
    watchers = [Watcher(api, int(listed["metadata"]["resourceVersion"])) for _ in range(2)]
    with working(*writers, *watchers) as problems:
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, 0.5))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            daemon = start(sampan, api)
            assert problems == []
        time.sleep(1.0)
    assert problems == []
    last = api.ask("POST", MAPS, {"metadata": {"name": LAST}, "data": {"text": "over"}})[1]
    for watcher in watchers:  # what was written last has been told, too
        catch_up(watcher, int(last["metadata"]["resourceVersion"]))
    final = api.ask("GET", MAPS)[1]
    objects = {i["metadata"]["name"]: i["data"]["text"] for i in final["items"]}
    for writer in writers:
        for name in writer.possible:
            writer.settle(name)
    check_versions(writers, watchers)
    for watcher in watchers:
        assert watcher.objects() == {k: v for k, v in objects.items() if k.startswith(OURS)}
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(UP_SECONDS) == 0
    written = sum(len(w.acknowledged) for w in writers)
    resumed = sum(w.resumed for w in watchers)
    sys.stdout.write(f"{kills} kills, {written} acknowledged writes, {resumed} watches resumed\n")
    assert written > kills
    assert resumed >= kills


def catch_up(watcher: Watcher, version: int) -> None:
    """Watch until a version has been told."""
    over = threading.Event()
    thread = threading.Thread(target=watcher.work, args=(over,), daemon=True)
    thread.start()
    deadline = time.monotonic() + UP_SECONDS
    while time.monotonic() < deadline and watcher.version < version:
        time.sleep(0.05)
    over.set()
    thread.join(UP_SECONDS)
    assert watcher.version >= version, f"told up to {watcher.version} of {version}"


def check_versions(writers: list[Writer], watchers: list[Watcher]) -> None:
    """No version stands for two writes, and each acknowledged one was told to every watcher."""
    written = [write for writer in writers for write in writer.acknowledged]
    by_version = {write.version: write for write in written}
    assert len(by_version) == len(written), "a resourceVersion was given twice"
    for writer in writers:
        versions = [write.version for write in writer.acknowledged]
        assert versions == sorted(versions), "a later write has an earlier version"
    for watcher in watchers:
        told = {version: write for version, _, write in watcher.seen}
        assert {v: w for v, w in told.items() if v in by_version} == by_version
