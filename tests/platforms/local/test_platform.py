"""The platform whole: real processes behind a real Envoy, driven as a controller drives it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from sampan.gateway.ask import Address, ask
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.machinery.clock import SystemClock
from sampan.manifests import read_runtimes
from sampan.plan.observed import LinkState, Observed, ObservedReplica
from sampan.plan.types import (
    Backend,
    Component,
    ModelSource,
    Plan,
    Route,
    ServiceKey,
    Workload,
)
from sampan.platforms.local.changes import Changes
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.platforms.local.image_table import read_image_table
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.platform import LocalPlatform
from sampan.platforms.local.platform_parts import LocalSettings, Parts
from sampan.platforms.local.room import Memory
from sampan.platforms.local.steps import StartReplica
from sampan.storage.base import Fetched, FetchOptions, StorageError

SERVICE = ServiceKey("default", "iris")
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{os.environ.get('VERSION')} {open('model.txt').read()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Models:
    """The remote edge: where models come from. `failure` is raised while it is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failure: StorageError | None = None
        self.fetches = 0

    async def fetch(self, *_request: object) -> Fetched:
        self.fetches += 1
        if self.failure:
            raise self.failure
        return Fetched(self.folder, 1, 0.0, cached=True)


@dataclass
class ConfigMaps:
    """The store's edge: ConfigMaps by name."""

    maps: dict[str, dict[str, bytes]] = field(default_factory=dict)

    async def data(self, *key: str) -> dict[str, bytes] | None:
        return self.maps.get(key[-1])


@dataclass
class Daemon:
    """What a daemon of this state folder is made of; `plan` is what it is to bring about.

    It decides as if `later` seconds had passed.
    """

    platform: LocalPlatform
    launcher: Launcher
    gateway: Gateway
    plan: Plan
    started: list[str] = field(default_factory=list)
    later: float = 0.0

    async def reconcile(self) -> Observed:
        desired = self.platform.render(self.plan)
        before = await self.platform.observe(SERVICE)
        for step in self.platform.diff(desired, before, time.time() + self.later).steps:
            if isinstance(step, StartReplica):
                self.started.append(step.replica)
            await self.platform.apply(SERVICE, step)
        return await self.platform.observe(SERVICE)

    async def until(self, wanted: Callable[[Observed], bool], seconds: float = 15.0) -> Observed:
        """Reconcile at each change until it is so; fail with what was observed last."""
        seen = await self.reconcile()
        try:
            async with asyncio.timeout(seconds):
                if wanted(seen):
                    return seen
                async for _ in self.platform.changes():
                    seen = await self.reconcile()
                    if wanted(seen):
                        return seen
        except TimeoutError:
            pytest.fail(f"not reached in {seconds} s; seen last: {seen}")
        raise AssertionError

    async def get(self) -> tuple[int, str]:
        address = Address(host="127.0.0.1", port=self.gateway.settings.port)
        answer = await ask(address, "/serving/default/iris/", "localhost", 5.0)
        return answer.status, bytes(answer.body).decode()

    async def stop(self, *, all_: bool) -> None:
        await self.platform.close()
        await self.launcher.close(stop_all=all_)
        await (self.gateway.close() if all_ else self.gateway.detach())


@dataclass
class Laptop:
    """A state folder, and daemons on it one after the other."""

    root: Path
    port: int
    models: Models
    references: ConfigMaps
    images: Callable[[], ImageTable] = ImageTable
    devices: dict[str, list[str]] = field(default_factory=dict)
    memory: Memory | None = None

    @asynccontextmanager
    async def daemon(self, plan: Plan, *, leave: bool = False) -> AsyncIterator[Daemon]:
        clock, changes = SystemClock(), Changes()
        layout = Layout(self.root / "state", self.root / "cache")
        launcher = Launcher(layout.state, clock, changes.notify)
        gateway = Gateway(layout.state / "gateway", GatewaySettings(port=self.port), clock)
        environments = EnvironmentCache(layout.environments, current_interpreter(), clock)
        parts = Parts(launcher, gateway, self.references, environments, self.models.fetch, clock)
        options = FetchOptions(layout.models, layout.volumes)
        settings = LocalSettings(
            layout, os.environ, self.images, options, lambda _: self.devices, lambda: self.memory
        )
        await gateway.start()
        made = Daemon(LocalPlatform(settings, parts, changes), launcher, gateway, plan)
        try:
            await made.platform.start()
            yield made
        except BaseException:
            leave = False
            raise
        finally:
            await made.stop(all_=not leave)


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.txt").write_text("iris")
    (tmp_path / "server.py").write_text(SERVER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Laptop(tmp_path, port, Models(folder), ConfigMaps())


def make_plan(laptop: Laptop, version: str = "one", **container: object) -> Plan:
    served = {
        "name": "kserve-container",
        "image": "example.com/mine:1",
        "command": [sys.executable, str(laptop.root / "server.py"), "8080"],
        "workingDir": "/mnt/models",
        "env": [{"name": "VERSION", "value": version}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        **container,
    }
    pod = {"containers": [served], "terminationGracePeriodSeconds": 2}
    template = {"metadata": {}, "spec": pod}
    workload = Workload(
        Component.PREDICTOR, "iris-predictor", template, f"v1-{version}", 1, "iris",
        models=(ModelSource("s3://bucket/iris"),),
    )  # fmt: skip
    hosts = ("iris.default.localhost",)
    route = Route(hosts, "/serving/default/iris", (Backend("iris-predictor"),))
    return Plan(SERVICE, (workload,), route)


def replicas(seen: Observed) -> tuple[ObservedReplica, ...]:
    return tuple(r for w in seen.workloads for r in w.replicas)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def files_of_replicas(laptop: Laptop) -> list[Path]:
    return list((laptop.root / "state/pods").glob("*/*"))


def is_up(seen: Observed) -> bool:
    return seen.route.state is LinkState.DONE


def is_settled(count: int, version: str) -> Callable[[Observed], bool]:
    def check(seen: Observed) -> bool:
        found = replicas(seen)
        return (
            is_up(seen)
            and [(r.template_hash, r.ready and r.routed) for r in found]
            == [(f"v1-{version}", True)] * count
        )

    return check


async def test_a_plan_becomes_a_process_that_answers_through_the_gateway(laptop):
    async with laptop.daemon(make_plan(laptop)) as daemon:
        seen = await daemon.until(is_up)
        assert await daemon.get() == (200, "one iris")
        assert [w.download.state for w in seen.workloads] == [LinkState.DONE]
        assert daemon.platform.diff(
            daemon.platform.render(daemon.plan), await daemon.until(is_settled(1, "one")), 0.0
        ).steps == ()  # fmt: skip


async def test_a_replica_that_dies_is_not_ready_at_once_and_comes_back(laptop):
    async with laptop.daemon(make_plan(laptop)) as daemon:
        (replica,) = replicas(await daemon.until(is_settled(1, "one")))
        os.kill(replica.pid, signal.SIGKILL)
        await daemon.until(lambda seen: not is_up(seen), seconds=1.0)
        seen = await daemon.until(is_up)
        assert replicas(seen)[0].restarts == 1
        assert await daemon.get() == (200, "one iris")


async def test_an_update_under_load_loses_no_request(laptop):
    async with laptop.daemon(make_plan(laptop)) as daemon:
        await daemon.until(is_up)
        answers: list[tuple[int, str]] = []

        async def ask_on() -> None:
            while True:
                answers.append(await daemon.get())
                await asyncio.sleep(0.002)

        asking = asyncio.create_task(ask_on())
        daemon.plan = make_plan(laptop, "two")
        await daemon.until(is_settled(1, "two"))
        asking.cancel()
        assert {status for status, _ in answers} == {200}
        assert {text for _, text in answers} == {"one iris", "two iris"}


async def test_a_new_daemon_adopts_what_runs_and_starts_nothing(laptop):
    plan = make_plan(laptop)
    async with laptop.daemon(plan, leave=True) as daemon:
        (before,) = replicas(await daemon.until(is_settled(1, "one")))
    async with laptop.daemon(plan) as daemon:
        assert await daemon.get() == (200, "one iris")  # before anything is decided
        (after,) = replicas(await daemon.until(is_settled(1, "one")))
        assert (after.pid, after.restarts) == (before.pid, 0)
        assert daemon.started == []
        assert laptop.models.fetches == 1
        assert await daemon.platform.services() == (SERVICE,)


async def test_stopped_leaves_no_process_and_no_route(laptop):
    async with laptop.daemon(make_plan(laptop)) as daemon:
        (replica,) = replicas(await daemon.until(is_up))
        daemon.plan = Plan(SERVICE, stopped=True)
        await daemon.until(lambda seen: not replicas(seen))
        assert not is_alive(replica.pid)
        assert (await daemon.get())[0] == 404
        await daemon.reconcile()
        assert await daemon.platform.services() == ()
        assert files_of_replicas(laptop) == []


async def test_scaling_follows_the_plan(laptop):
    plan = make_plan(laptop)
    async with laptop.daemon(plan) as daemon:
        daemon.plan = replace(plan, workloads=(replace(plan.workloads[0], replicas=3),))
        await daemon.until(is_settled(3, "one"))
        daemon.plan = plan
        await daemon.until(is_settled(1, "one"))


def seen_devices(replica: ObservedReplica) -> str:
    variables = Path(f"/proc/{replica.pid}/environ").read_text().split("\0")
    return dict(v.split("=", 1) for v in variables if v)["CUDA_VISIBLE_DEVICES"]


async def test_replicas_have_gpus_of_their_own_and_one_too_many_is_told_who_has_them(laptop):
    laptop.devices = {"nvidia.com/gpu": ["0", "1"]}
    plan = make_plan(laptop, resources={"limits": {"nvidia.com/gpu": "1"}})
    three = replace(plan, workloads=(replace(plan.workloads[0], replicas=3),))
    two = replace(plan, workloads=(replace(plan.workloads[0], replicas=2),))
    async with laptop.daemon(three, leave=True) as daemon:
        refused = await daemon.until(
            lambda seen: (
                [r.ready for r in replicas(seen)].count(True) == 2
                and any(r.load.reason == "InsufficientDevices" for r in replicas(seen))
            )
        )
        up = [r for r in replicas(refused) if r.ready]
        assert sorted(seen_devices(replica) for replica in up) == ["0", "1"]
        (late,) = (r for r in replicas(refused) if not r.ready)
        assert f'by replica "{up[0].name}"' in late.load.message
        daemon.plan = two
        await daemon.until(is_settled(2, "one"))
    async with laptop.daemon(three) as daemon:  # a new daemon knows who has what
        seen = await daemon.until(
            lambda seen: any(r.load.reason == "InsufficientDevices" for r in replicas(seen))
        )
        assert sum(r.ready for r in replicas(seen)) == 2


async def test_replicas_that_start_at_the_same_time_have_gpus_of_their_own(laptop):
    laptop.devices = {"nvidia.com/gpu": ["0", "1", "2"]}
    laptop.memory = Memory(8 << 30, 4 << 30)  # which is asked for, and that takes a while
    plan = make_plan(laptop, resources={"limits": {"nvidia.com/gpu": "1"}})
    async with laptop.daemon(plan) as daemon:
        seen = await daemon.until(is_settled(1, "one"), 60)
        daemon.plan = replace(plan, workloads=(replace(plan.workloads[0], replicas=3),))
        desired = daemon.platform.render(daemon.plan)
        steps = daemon.platform.diff(desired, seen, time.time()).steps
        starts = [step for step in steps if isinstance(step, StartReplica)]
        assert len(starts) == 2
        await asyncio.gather(*(daemon.platform.apply(SERVICE, step) for step in starts))
        seen = await daemon.until(is_settled(3, "one"), 60)
        assert sorted(seen_devices(replica) for replica in replicas(seen)) == ["0", "1", "2"]


async def test_a_replica_that_would_not_fit_is_refused_while_the_one_before_serves(laptop):
    laptop.memory = Memory(8 << 30, 4 << 30)
    async with laptop.daemon(make_plan(laptop)) as daemon:
        await daemon.until(is_settled(1, "one"))
        laptop.memory = Memory(8 << 30, 129 << 20)  # a mebibyte more than stays free
        daemon.plan = make_plan(laptop, "two")
        seen = await daemon.until(
            lambda seen: any(r.load.reason == "InsufficientMemory" for r in replicas(seen))
        )
        (late,) = (r for r in replicas(seen) if not r.ready)
        assert "129 MiB of this machine's memory are free" in late.load.message
        assert "Recreate" in late.load.message
        assert await daemon.get() == (200, "one iris")
        laptop.memory, daemon.later = Memory(8 << 30, 4 << 30), 60  # and it is tried again
        await daemon.until(is_settled(1, "two"), 30)
        assert await daemon.get() == (200, "two iris")


async def test_where_the_memory_is_used_up_no_first_replica_is_started(laptop):
    laptop.memory = Memory(8 << 30, 100 << 20)
    async with laptop.daemon(make_plan(laptop)) as daemon:
        seen = await daemon.until(
            lambda seen: any(r.load.reason == "InsufficientMemory" for r in replicas(seen))
        )
        assert [r.running for r in replicas(seen)] == [False]
        status, told = await daemon.get()
        assert status == 503
        assert "sampan why" in told


async def test_an_envoy_that_dies_turns_the_route_false_and_comes_back(laptop):
    async with laptop.daemon(make_plan(laptop)) as daemon:
        await daemon.until(is_settled(1, "one"))
        os.kill(daemon.gateway.pid, signal.SIGSTOP)  # it hangs: worse than dead
        try:
            seen = await daemon.until(lambda seen: not is_up(seen), seconds=2.5)
            assert seen.route.reason
        finally:
            os.kill(daemon.gateway.pid, signal.SIGKILL)
        await daemon.until(is_up)
        assert await daemon.get() == (200, "one iris")


async def test_a_download_that_fails_says_why_and_when_it_is_tried_again(laptop):
    laptop.models.failure = StorageError("DownloadStalled", "no byte for 30 s", retryable=True)
    async with laptop.daemon(make_plan(laptop)) as daemon:
        seen = await daemon.until(
            lambda seen: any(w.download.state is LinkState.FAILED for w in seen.workloads)
        )
        link = seen.workloads[0].download
        assert (link.reason, link.message) == ("DownloadStalled", "no byte for 30 s")
        desired = daemon.platform.render(daemon.plan)
        assert daemon.platform.diff(desired, seen, link.since).wake_at == link.retry_at
        laptop.models.failure = None
        for step in daemon.platform.diff(desired, seen, link.retry_at).steps:
            await daemon.platform.apply(SERVICE, step)
        await daemon.until(is_up)


async def test_a_configmap_that_is_missing_holds_up_the_start_as_kubelet_does(laptop):
    plan = make_plan(laptop, env=[
        {"name": "VERSION", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "v"}}}
    ])  # fmt: skip
    async with laptop.daemon(plan) as daemon:
        seen = await daemon.until(
            lambda seen: any(r.load.state is LinkState.FAILED for r in replicas(seen))
        )
        link = replicas(seen)[0].load
        assert link.reason == "CreateContainerConfigError"
        assert link.message == 'configmap "settings" not found'
        laptop.references.maps["settings"] = {"v": b"from $(HOME)"}
        desired = daemon.platform.render(plan)
        for step in daemon.platform.diff(desired, seen, link.retry_at).steps:
            await daemon.platform.apply(SERVICE, step)
        await daemon.until(is_up)
        assert await daemon.get() == (200, "from $(HOME) iris")


async def test_an_image_that_does_not_run_here_is_told_and_nothing_is_fetched(laptop):
    plan = make_plan(laptop, command=[])
    async with laptop.daemon(plan) as daemon:
        seen = await daemon.until(
            lambda seen: any(w.environment.state is LinkState.FAILED for w in seen.workloads)
        )
        assert seen.workloads[0].environment.reason == "ImageNotRunnable"
        assert laptop.models.fetches == 0


async def test_a_command_that_is_not_installed_is_named(laptop):
    async with laptop.daemon(make_plan(laptop, command=["no-such-program"])) as daemon:
        seen = await daemon.until(
            lambda seen: any(w.environment.state is LinkState.FAILED for w in seen.workloads)
        )
        link = seen.workloads[0].environment
        assert link.reason == "CommandNotFound"
        assert '"no-such-program"' in link.message


async def test_files_of_volumes_stand_where_the_template_mounts_them(laptop):
    laptop.references.maps["settings"] = {"v.txt": b"hello"}
    show = "import os, sys; sys.argv[1:] = ['$(SAMPAN_PORT_8080)']; "
    show += "os.environ['VERSION'] = open('/etc/app/v.txt').read(); "
    show += "exec(open(os.environ['SERVER']).read())"
    plan = make_plan(
        laptop,
        command=[sys.executable, "-c", show],
        env=[{"name": "SERVER", "value": str(laptop.root / "server.py")}],
        volumeMounts=[{"name": "v", "mountPath": "/etc/app"}],
    )
    pod = plan.workloads[0].template["spec"]
    pod["volumes"] = [{"name": "v", "configMap": {"name": "settings"}}]
    async with laptop.daemon(plan) as daemon:
        await daemon.until(is_up)
        assert await daemon.get() == (200, "hello iris")
        files = list((laptop.root / "state/pods").rglob("v.txt"))
        assert [oct(f.stat().st_mode & 0o777) for f in files] == ["0o600"]


@pytest.mark.slow
async def test_the_scikit_learn_runtime_predicts_in_an_environment_of_its_own(laptop):
    """Builds the environment, so it needs the network or a warm cache of uv."""
    import joblib
    from sklearn import datasets, svm

    iris = datasets.load_iris()
    (laptop.models.folder / "model.txt").unlink()
    joblib.dump(svm.SVC().fit(iris.data, iris.target), laptop.models.folder / "model.joblib")
    laptop.images = read_image_table(laptop.root / "images.yaml")
    runtimes = {r["metadata"]["name"]: r for r in map(yaml.safe_load, read_runtimes())}
    shipped = runtimes["kserve-sklearnserver"]["spec"]["containers"][0]
    args = [arg.replace("{{.Name}}", "iris") for arg in shipped["args"]]
    plan = make_plan(
        laptop, **{**shipped, "args": args}, command=[], readinessProbe=None, workingDir=""
    )
    async with laptop.daemon(plan) as daemon:
        (first,) = replicas(await daemon.until(is_settled(1, "one"), seconds=90.0))
        assert first.load.state is LinkState.DONE
        address = Address(host="127.0.0.1", port=laptop.port)
        answer = await ask(address, "/serving/default/iris/v1/models/iris", "localhost", 5.0)
        assert (answer.status, bytes(answer.body)) == (200, b'{"name":"iris","ready":true}')
        began = time.perf_counter()
        two = replace(plan.workloads[0], replicas=2)
        daemon.plan = replace(plan, workloads=(two,))
        await daemon.until(lambda seen: sum(r.ready for r in replicas(seen)) == 2)
        assert time.perf_counter() - began < 1.0  # forked, not started: nothing is imported again
