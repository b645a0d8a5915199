"""A generic registry, a platform at the edge, and servers over both: in process and on a port."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sampan.apiserver.certificates import apply_certificates
from sampan.apiserver.kubeconfig import write_context
from sampan.apiserver.listener import bind_loopback
from sampan.apiserver.messages import Reply, Request
from sampan.apiserver.replicas import LogOptions
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.collector import Collector
from sampan.machinery.errors import BadRequest, FieldError
from sampan.machinery.registry import (
    AdmissionContext,
    Admitted,
    Column,
    JsonObject,
    Registry,
    Resource,
)
from sampan.machinery.store_memory import MemoryStore

CONFIGMAP = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  labels: {{app: {name}}}
data:
  size: "{size}"
"""

WIDGET = """
apiVersion: example.sampan.dev/v1
kind: Widget
metadata:
  name: {name}
spec:
  size: {size}
  parts: [{{name: left}}, {{name: right}}]
"""

TOKEN = "the-token-of-the-tests"
GROUP = "example.sampan.dev"
WIDGETS = f"/apis/{GROUP}/v1/namespaces/default/widgets"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"

WIDGET_SCHEMA: JsonObject = {
    "type": "object",
    "description": "A widget of the tests.",
    "properties": {
        "spec": {
            "type": "object",
            "description": "What the widget should be.",
            "properties": {
                "size": {"type": "integer", "description": "How large it is."},
                "parts": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                },
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def admit_widget(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Default the size from the configuration, warn of large ones, refuse as told by the object."""
    spec = {"size": int(context.configuration.get("size", "1")), **(obj.get("spec") or {})}
    new = {**obj, "spec": spec}
    if not isinstance(spec["size"], int):
        error = FieldError("spec.size", f'Invalid value: "{spec["size"]}": must be an integer')
        return Admitted(new, errors=(error,))
    denied = "widgets are never negative" if spec["size"] < 0 else ""
    if old is not None and old["spec"]["size"] > spec["size"]:
        denied = "widgets never shrink"
    return Admitted(new, ("a large widget",) if spec["size"] > 100 else (), denied=denied)


def unknown_in_widget(obj: JsonObject) -> list[FieldError]:
    known = {"size", "parts"}
    return [
        FieldError(f"spec.{name}", f'unknown field "spec.{name}"', "FieldValueUnknown")
        for name in obj.get("spec") or {}
        if name not in known
    ]


def make_core(kind: str, plural: str, **more: Any) -> Resource:
    return Resource("", "v1", kind, plural, kind.lower(), generation=False, **more)


REGISTRY = Registry(
    (
        Resource(
            group=GROUP,
            version="v1",
            kind="Widget",
            plural="widgets",
            singular="widget",
            short_names=("wd",),
            status_subresource=True,
            columns=(
                Column("Size", ".spec.size", "integer"),
                Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
                Column("Parts", ".spec.parts[*].name", priority=1),
                Column("Age", ".metadata.creationTimestamp", "date"),
            ),
            admit=admit_widget,
            schema=lambda: WIDGET_SCHEMA,
            unknown=unknown_in_widget,
        ),
        Resource(GROUP, "v1", "ClusterWidget", "clusterwidgets", namespaced=False),
        make_core("ConfigMap", "configmaps", short_names=("cm",)),
        make_core("Secret", "secrets"),
        make_core("ServiceAccount", "serviceaccounts"),
        make_core("Event", "events"),
        make_core(
            "Namespace",
            "namespaces",
            short_names=("ns",),
            namespaced=False,
            status_subresource=True,
            columns=(Column("Status", ".status.phase"),),
        ),
    )
)


def make_pod(name: str, namespace: str = "default", **labels: str) -> JsonObject:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "creationTimestamp": "2026-01-31T12:00:00Z",
        },
        "spec": {"containers": [{"name": "kserve-container"}], "nodeName": "laptop"},
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "containerStatuses": [
                {
                    "name": "kserve-container",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {}},
                }
            ],
        },
    }


@dataclass
class Platform:
    """The edge: replicas that a test adds, changes and removes, and their logs."""

    replicas: dict[str, JsonObject] = field(default_factory=dict)
    logs: dict[str, list[bytes]] = field(default_factory=dict)
    asked: list[LogOptions] = field(default_factory=list)
    followers: int = 0
    _changed: list[asyncio.Event] = field(default_factory=list)

    def show(self, pod: JsonObject) -> None:
        self.replicas[pod["metadata"]["name"]] = pod
        self._wake()

    def hide(self, name: str) -> None:
        del self.replicas[name]
        self._wake()

    async def pods(self) -> list[JsonObject]:
        return json.loads(json.dumps(list(self.replicas.values())))

    async def changes(self) -> AsyncIterator[object]:
        event = asyncio.Event()
        self._changed.append(event)
        self.followers += 1
        try:
            while True:
                await event.wait()
                event.clear()
                yield None
        finally:
            self.followers -= 1
            self._changed.remove(event)

    async def log(self, _: str, name: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked.append(options)
        if options.previous:
            raise BadRequest(f'"{name}" has no previous log')
        lines = self.logs[name]
        start = 0 if options.tail_lines is None else max(len(lines) - options.tail_lines, 0)
        sent = len(lines)
        for line in lines[start:sent]:
            yield line
        while options.follow:
            await asyncio.sleep(0.02)
            for line in self.logs[name][sent:]:
                yield line
            sent = len(self.logs[name])

    def _wake(self) -> None:
        for event in self._changed:
            event.set()


@dataclass
class Client:
    """Requests to a server in process, as its connection would hand them over."""

    server: ApiServer
    headers: dict[str, str] = field(
        default_factory=lambda: {
            "host": "127.0.0.1:8443",
            "authorization": f"Bearer {TOKEN}",
            "user-agent": "tests/1.0 (linux)",
        }
    )

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        query = {k: str(v) for k, v in more.pop("query", {}).items()}
        headers = {**self.headers, "content-type": "application/json", **more.pop("headers", {})}
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        return await self.server.handle(Request(method, path, query, headers, raw))

    async def json(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        reply = await self.send(method, path, body, **more)
        return json.loads(reply.body)

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        reply = await self.send(method, path, body, **more)
        assert reply.code < 300, reply.body
        return json.loads(reply.body)


def make_widget(name: str, size: int | str = 3, **meta: Any) -> JsonObject:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Widget",
        "metadata": {"name": name, **meta},
        "spec": {"size": size},
    }


def make_configmap(name: str, **data: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def with_query(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


@pytest.fixture
def platform() -> Platform:
    return Platform()


async def warn_of_pink(obj: JsonObject) -> list[str]:
    return ["pink is not honoured here"] if "pink" in str(obj.get("spec")) else []


@pytest.fixture
async def server(platform: Platform) -> AsyncIterator[ApiServer]:
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, TOKEN, platform, warn_of_pink)
    await server.start()
    yield server
    server.stop()
    await store.close()


@pytest.fixture
def client(server: ApiServer) -> Client:
    return Client(server)


@dataclass
class Running:
    """A server on a real port, in its own thread, and kubectl pointed at it."""

    port: int
    folder: Path
    platform: Platform
    server: ApiServer
    loop: asyncio.AbstractEventLoop
    token: str = TOKEN

    @property
    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "KUBECACHEDIR": str(self.folder / "cache"),
            "HOME": folder,
            "PATH": os.environ["PATH"],
        }

    def run(self, *arguments: str, stdin: str = "", code: int | None = 0, **more: str) -> str:
        """Run kubectl; return what it printed (errors behind the output)."""
        done = subprocess.run(
            ["kubectl", *arguments],
            input=stdin,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"kubectl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start kubectl and return its process, output piped line by line."""
        return subprocess.Popen(
            ["kubectl", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @staticmethod
    def widget(name: str, size: int = 3) -> str:
        return WIDGET.format(name=name, size=size)

    @staticmethod
    def configmap(name: str, size: int = 1) -> str:
        return CONFIGMAP.format(name=name, size=size)

    @staticmethod
    def await_line(process: subprocess.Popen[str], wanted: str) -> str:
        until = time.monotonic() + 10
        assert process.stdout is not None
        while time.monotonic() < until:
            line = process.stdout.readline()
            if wanted in line:
                return line
        raise AssertionError(f'"{wanted}" was never printed')

    def call(self, change: Callable[[], Any]) -> Any:
        """Do something in the server's thread."""
        done: Any = None
        ready = threading.Event()

        def do() -> None:
            nonlocal done
            done = change()
            ready.set()

        self.loop.call_soon_threadsafe(do)
        assert ready.wait(5)
        return done


@contextlib.contextmanager
def running(
    folder: Path, registry: Registry = REGISTRY, *, uvloop: bool = False, **more: Any
) -> Iterator[Running]:
    """Serve a registry on a free port with TLS until the end of the block."""
    started = threading.Event()
    found: list[Running] = []

    async def main() -> None:
        certificates = apply_certificates(folder / "tls", time.time())
        platform, store = Platform(), MemoryStore(registry, SystemClock())
        server = ApiServer(store, registry, TOKEN, platform, **more)
        sock = bind_loopback(0)
        port = sock.getsockname()[1]
        authority = certificates.authority.read_bytes()
        write_context(folder / "kubeconfig", f"https://127.0.0.1:{port}", TOKEN, authority)
        loop = asyncio.get_running_loop()
        found.append(Running(port, folder, platform, server, loop))
        collecting = asyncio.ensure_future(Collector(store, SystemClock(), registry).run())
        loop.call_later(0.05, started.set)
        await server.serve(sock, certificates.context())
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        await store.close()

    run = importlib.import_module("uvloop").run if uvloop else asyncio.run
    thread = threading.Thread(target=run, args=(main(),))
    thread.start()
    assert started.wait(10), "the server did not start"
    try:
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(found[0].server.stop)
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with the generic registry, for the real kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    with running(tmp_path_factory.mktemp("kube")) as found:
        yield found


@pytest.fixture
def make_shown_pod(kube: Running) -> Iterator[Callable[[str, list[bytes]], None]]:
    """Show a pod with a log on the running server; hidden again after the test."""
    shown = []

    def show(name: str, lines: list[bytes]) -> None:
        kube.platform.logs[name] = lines
        kube.call(lambda: kube.platform.show(make_pod(name)))
        shown.append(name)

    yield show
    for name in shown:
        kube.call(lambda name=name: kube.platform.hide(name))


@pytest.fixture
def client_of() -> Any:
    """Return what makes a client of another server; `client_of.token` is the token it sends."""

    def make(server: ApiServer) -> Client:
        return Client(server)

    make.token = TOKEN  # type: ignore[attr-defined]  # one name for both sides
    return make


@pytest.fixture(scope="session")
def running_server() -> Callable[..., Any]:
    """Return what serves on a port: `with running_server(folder) as served`."""
    return running


@pytest.fixture
def pod() -> Callable[..., JsonObject]:
    """Return what makes a Pod of a platform."""
    return make_pod


@pytest.fixture(scope="session")
def pod_of_tests() -> Callable[..., JsonObject]:
    """Return what makes a Pod of a platform, for fixtures of a module."""
    return make_pod
