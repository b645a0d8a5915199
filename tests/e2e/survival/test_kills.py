"""`kill -9` of daemon, Envoy, zygotes and replicas at random moments, under writes and requests.

Held throughout: every acknowledged write is there with its content, each service is Ready again
soon, Ready is never read while requests have failed for more than a second, and no process is
doubled or left behind. The seed is printed at a failure and taken from `SAMPAN_SEED`.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
BASE = {"one": 1, "two": 2, "pair": 2}
"""The services that requests go to, and how many replicas each has."""
READY_SECONDS = 20.0
LIE_SECONDS = 1.0
KINDS = ("daemon", "envoy", "zygote", "replica")

Content = str | None
"""What a ledger knows an object by; None: it is not there."""


def tell(text: str) -> None:
    """Say something that pytest shows at a failure, or always with -s."""
    sys.stdout.write(f"{text}\n")


# Who runs


def holds(pid: int, folder: Path) -> str:
    """Return the replica whose lock a process holds ("" for none)."""
    try:
        links = [f.readlink() for f in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return ""
    # One whose folder has been removed, " (deleted)", is a replica that was lost sight of.
    found = [link.parent for link in links if link.name.startswith("lock")]
    return next((f.name for f in found if f.parent == folder / "replicas"), "")


def who(sampan: Any, pids: list[int]) -> dict[str, list[int]]:
    """Return the processes of an installation by what they are."""
    found: dict[str, list[int]] = {kind: [] for kind in (*KINDS, "other")}
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if holds(pid, sampan.state):
            found["replica"].append(pid)
        elif b"zygote_child.py\0serve" in command:
            found["zygote"].append(pid)
        elif b"sampan.app.local" in command:
            found["daemon"].append(pid)
        elif b"--disable-hot-restart" in command:
            found["envoy"].append(pid)
        elif command:
            found["other"].append(pid)
    return found


# What was written


@dataclass
class Ledger:
    """What each object may hold: one content where the last write was acknowledged, else two."""

    path: str
    read: Callable[[Any], str]
    possible: dict[str, set[Content]] = field(default_factory=dict)
    acknowledged: int = 0

    def wrote(self, name: str, content: Content, *, acknowledged: bool) -> None:
        if acknowledged:
            self.acknowledged += 1
            self.possible[name] = {content}
        else:
            self.possible.setdefault(name, {None}).add(content)

    def check(self, api: Any, name: str) -> bool:
        """Compare an object with what it may be; returns whether it is there."""
        status, body = api.ask("GET", f"{self.path}/{name}")
        assert status in {200, 404}, body
        found = None if status == 404 or "deletionTimestamp" in body["metadata"] else body
        content = None if found is None else self.read(found)
        assert content in self.possible.get(name, {None}), (
            f"{name} holds {content!r}, acknowledged was one of {self.possible.get(name)}"
        )
        self.possible[name] = {content}
        return found is not None


@dataclass
class World:
    """The installation, what is known of it, and whether it is time to end."""

    sampan: Any
    api: Any
    iris: Path
    random: random.Random
    over: threading.Event = field(default_factory=threading.Event)
    problems: list[str] = field(default_factory=list)
    reads: list[tuple[float, set[str]]] = field(default_factory=list)
    kills: list[tuple[float, str]] = field(default_factory=list)

    @contextmanager
    def in_background(self, *work: Callable[[World], None]) -> Iterator[None]:
        threads = [threading.Thread(target=self._guard, args=(w,), daemon=True) for w in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(60)
            assert not any(thread.is_alive() for thread in threads), "a client hangs"

    def _guard(self, work: Callable[[World], None]) -> None:
        try:
            work(self)
        except Exception as error:  # noqa: BLE001 # a client's assertion is the test's
            self.problems.append(f"{work}: {type(error).__name__}: {error}")


AWAY = (OSError, http.client.HTTPException, ValueError)
"""What a client sees of a daemon that has been killed."""


def write_maps(ledger: Ledger, prefix: str) -> Callable[[World], None]:
    """Return a client that creates, patches and deletes ConfigMaps of its own."""

    def work(world: World) -> None:
        chance = random.Random(world.random.random())
        count = 0
        while not world.over.wait(chance.uniform(0.0, 0.06)):
            name = f"{prefix}-{chance.randrange(12)}"
            count += 1
            content: Content = f"{count} of {prefix}"
            try:
                there = ledger.check(world.api, name)
            except AWAY:
                continue
            deleting = there and chance.random() < 0.3
            body = {"metadata": {"name": name}, "data": {"text": content}}
            try:
                if deleting:
                    content = None
                    status, _ = world.api.ask("DELETE", f"{MAPS}/{name}")
                elif there:
                    status, _ = world.api.ask("PATCH", f"{MAPS}/{name}", body, MERGE)
                else:
                    status, _ = world.api.ask("POST", MAPS, body)
            except AWAY:
                ledger.wrote(name, content, acknowledged=False)
            else:
                assert status in {200, 201}, (name, status)
                ledger.wrote(name, content, acknowledged=True)

    return work


def write_by_command(ledger: Ledger) -> Callable[[World], None]:
    """Return a person who applies with `sampan` and kubectl in turn."""

    def work(world: World) -> None:
        count = 0
        while not world.over.wait(0.5):
            count += 1
            name, content = f"typed-{count % 4}", f"typed {count}"
            text = json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": "default"},
                    "data": {"text": content},
                }
            )
            kubectl = ["kubectl", "--context", "sampan", "apply", "--request-timeout=5s"]
            command = kubectl if count % 3 == 0 and has_kubectl() else [sampan_command(), "apply"]
            done = subprocess.run(
                [*command, "-f", "-"],
                input=text,
                env=world.sampan.env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert "Traceback" not in done.stderr, done.stderr
            ledger.wrote(name, content, acknowledged=done.returncode == 0)

    return work


def sampan_command() -> str:
    return str(Path(sys.executable).parent / "sampan")


def has_kubectl() -> bool:
    return any(Path(p, "kubectl").exists() for p in os.environ["PATH"].split(":"))


def write_services(ledger: Ledger) -> Callable[[World], None]:
    """Return a client that makes, labels and deletes InferenceServices of its own."""

    def work(world: World) -> None:
        chance = random.Random(world.random.random())
        count = 0
        while not world.over.wait(chance.uniform(0.3, 1.2)):
            count += 1
            name = f"extra-{chance.randrange(3)}"
            content: Content = f"v{count}"
            try:
                there = ledger.check(world.api, name)
                deleting = there and chance.random() < 0.5
                if deleting:
                    content = None
                    status, told = world.api.ask("DELETE", f"{SERVICES}/{name}")
                elif there:
                    body = {"metadata": {"annotations": {"mark": content}}}
                    status, told = world.api.ask("PATCH", f"{SERVICES}/{name}", body, MERGE)
                else:
                    body = service(name, world.iris, {"mark": content or ""})
                    status, told = world.api.ask("POST", SERVICES, body)
            except AWAY:
                ledger.wrote(name, content, acknowledged=False)
                continue
            # 409: the one before is still on its way out; 404: it has just gone
            assert status in {200, 201, 202, 404, 409}, told
            if status < 300:
                ledger.wrote(name, content, acknowledged=True)

    return work


def service(name: str, uri: Path, annotations: dict[str, str], replicas: int = 1) -> Any:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": str(uri)}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"predictor": {"minReplicas": replicas, "model": model}},
    }


# What is seen


def read_ready(world: World) -> None:
    """Read which services are Ready, twenty times a second."""
    while not world.over.wait(0.05):
        began = time.monotonic()
        ready = read_once(world)
        if ready is not None:
            world.reads.append((began, ready))


def read_once(world: World) -> set[str] | None:
    """Return the services that are Ready; None without a daemon."""
    try:
        status, body = world.api.ask("GET", SERVICES)
    except AWAY:
        return None
    assert status == 200, body
    return {item["metadata"]["name"] for item in body["items"] if is_ready(item)}


def is_ready(item: Any) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def find_lies(world: World, name: str, sent: Any) -> list[str]:
    """Return the reads of Ready while requests had failed for more than a second."""
    return [
        f"{name}: Ready read {when - shut:.2f} s into an outage of {opened - shut:.2f} s "
        f"that began {shut - since:.2f} s after the kill of {kind}"
        for shut, opened in sent.outages()
        for when, ready in world.reads
        if name in ready and shut + LIE_SECONDS < when < opened
        for since, kind in [max((k for k in world.kills if k[0] < shut), default=(0.0, "nobody"))]
    ]


# What is done


def kill_one(world: World, living: Callable[[Path], list[int]]) -> str:
    found = who(world.sampan, living(world.sampan.home))
    kind = world.random.choice([k for k in KINDS if found[k]])
    victim = world.random.choice(found[kind])
    name = holds(victim, world.sampan.state)
    world.kills.append((time.monotonic(), f"{kind} {victim} {name}"))
    os.kill(victim, signal.SIGKILL)
    return kind


def roll_what_backs_off(world: World) -> None:
    """Give a service that would wait out a crash's back-off another template, as a person would."""
    for path in (world.sampan.state / "replicas").glob("*/record.json"):
        try:
            state = json.loads(path.read_text())["state"]
        except (OSError, ValueError):
            continue
        name = state["spec"]["service"]["name"]
        if state["back_off_until"] and name in BASE:
            env = [{"name": "ROLL", "value": str(time.time())}]
            body = {"spec": {"predictor": {"model": {"env": env}}}}
            status, told = world.api.ask("PATCH", f"{SERVICES}/{name}", body, MERGE)
            assert status == 200, told


def wait_until_ready(world: World) -> float:
    """Start a daemon where there is none; return how long it took until every service answered."""
    began = time.monotonic()
    while True:
        told = read_once(world)
        if told is None:
            world.sampan.up()
        elif set(BASE) <= told and all(answers(world, name) for name in BASE):
            return time.monotonic() - began
        else:
            roll_what_backs_off(world)
        assert time.monotonic() - began < READY_SECONDS, (
            f"not Ready within {READY_SECONDS} s after the kills {world.kills[-2:]}: "
            f"Ready are {told}; " + "\n".join(world.sampan.run("why", name).stdout for name in BASE)
        )
        time.sleep(0.1)


def answers(world: World, name: str) -> bool:
    try:
        return world.sampan.predict(name, {"instances": [[6.8, 2.8, 4.8, 1.4]]})[0] == 200
    except OSError:
        return False


def describe_childless(pid: int) -> bytes:
    """Return what a zygote without children is for: what it imports, and under which variables."""
    process = Path(f"/proc/{pid}")
    try:
        children = (process / "task" / str(pid) / "children").read_bytes()
        words = (process / "cmdline").read_bytes().split(b"\0")
        variables = (process / "environ").read_bytes()
    except OSError:
        return b""
    preloaded = words[words.index(b"serve") + 3 :]  # after the descriptor and the idle seconds
    return b"" if children else b"\0".join([words[0], *preloaded, variables])


def check_nothing_is_doubled(world: World, living: Callable[[Path], list[int]]) -> None:
    deadline = time.monotonic() + 20
    while True:
        found = who(world.sampan, living(world.sampan.home))
        replicas = sorted(holds(pid, world.sampan.state) for pid in found["replica"])
        counts = {kind: len(pids) for kind, pids in found.items()}
        # A zygote of an earlier daemon lives as long as the replicas that it is the parent of.
        childless = [told for pid in found["zygote"] if (told := describe_childless(pid))]
        right = (
            counts["daemon"] == counts["envoy"] == 1
            and len(replicas) == len(set(replicas)) == sum(BASE.values())
            and len(childless) == len(set(childless))
            and counts["other"] == 0
        )
        if right:
            return
        assert time.monotonic() < deadline, (counts, replicas, found, childless)
        time.sleep(0.2)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(8, marks=[pytest.mark.slow, pytest.mark.timeout(240)]),
        pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_whatever_is_killed_no_write_is_lost_no_process_leaks_and_ready_is_true(
    kills: int,
    make_sampan: Callable[[], Any],
    make_api: Callable[[Any], Any],
    iris: Path,
    load: Callable[..., Any],
    living: Callable[[Path], list[int]],
) -> None:
    seed = int(os.environ.get("SAMPAN_SEED") or random.randrange(1 << 32))
    tell(f"SAMPAN_SEED={seed}")
    sampan = make_sampan()
    sampan.up()
    world = World(sampan, make_api(sampan), iris, random.Random(seed))
    for name, replicas in BASE.items():
        status, told = world.api.ask("POST", SERVICES, service(name, iris, {}, replicas))
        assert status == 201, told
    wait_until_ready(world)
    maps = [Ledger(MAPS, lambda found: found["data"]["text"]) for _ in range(3)]
    extras = Ledger(SERVICES, lambda found: found["metadata"]["annotations"]["mark"])
    writers = [
        write_maps(maps[0], "a"),
        write_maps(maps[1], "b"),
        write_by_command(maps[2]),
        write_services(extras),
    ]
    slowest = 0.0
    with ExitStack() as stack:
        sent = {n: stack.enter_context(load(sampan.port, n, clients=2, pause=0.03)) for n in BASE}
        stack.enter_context(world.in_background(read_ready, *writers))
        while len(world.kills) < kills and not world.problems:
            time.sleep(world.random.uniform(0.1, 1.5))
            for _ in range(world.random.choice([1, 1, 2])):
                if kill_one(world, living) == "daemon":
                    time.sleep(world.random.uniform(0.0, 1.0))
                else:
                    time.sleep(world.random.uniform(0.0, 0.3))
            slowest = max(slowest, wait_until_ready(world))
    assert world.problems == []
    for ledger in (*maps, extras):
        for name in ledger.possible:
            ledger.check(world.api, name)
    lies = [lie for name in BASE for lie in find_lies(world, name, sent[name])]
    assert lies == []
    for name in list(extras.possible):
        assert world.api.ask("DELETE", f"{SERVICES}/{name}")[0] in {200, 202, 404}
    check_nothing_is_doubled(world, living)
    written = sum(ledger.acknowledged for ledger in (*maps, extras))
    tell(
        f"{len(world.kills)} kills, {written} acknowledged writes, {len(world.reads)} reads, "
        f"{sum(s.answers for s in sent.values())} answers, "
        f"{sum(len(s.failures) for s in sent.values())} failures, Ready again in {slowest:.1f} s"
    )
    assert min(ledger.acknowledged for ledger in (*maps, extras)) > 0
    assert len(world.reads) > kills
