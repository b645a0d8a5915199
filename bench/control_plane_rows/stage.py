"""The daemon in this process, wired as it is wired everywhere, but that nothing it starts runs.

Only what stands at the platform's edge is replaced (`edge`): the launcher, the environments, and
the gateway where Envoy is not what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.control_plane_rows.edge import NoEnvironments, OpenGateway, Pretender

from sampan.api.scheme import REGISTRY
from sampan.app import controllers, local_parts
from sampan.app.bootstrap import CONFIGURATION
from sampan.app.daemon_settings import Settings
from sampan.app.paths import paths_under
from sampan.controllers.gather import SERVICES, Sources
from sampan.controllers.inferenceservice import InferenceServiceController
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.types import ServiceKey
from sampan.platforms.local.zygote import ZygotePool

SETTLE_SECONDS = 300.0


class Reconciler(InferenceServiceController):
    """The daemon's own reconciler, to be called beside its workers."""

    made: Reconciler
    """The newest."""

    def __init__(self, sources: Sources, *rest: Any) -> None:
        super().__init__(sources, *rest)
        self.sources = sources
        Reconciler.made = self


@dataclass(frozen=True)
class Stage:
    """A daemon that is up, and its parts."""

    daemon: local_parts.Daemon
    store: Store
    launcher: Pretender
    reconciler: Reconciler

    async def fill(self, model: Path, *names: str) -> None:
        """Store services, and wait until every one of them is Ready."""
        for name in names:
            await self.store.create(SERVICES, admitted(make_service(name, model)))
        await self.settle()

    async def settle(self) -> None:
        """Wait until every service is Ready."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while not all(  # noqa: ASYNC110 # asked beside the daemon, which must not know of it
                map(is_ready, (await self.store.list(SERVICES)).items)
            ):
                await asyncio.sleep(2.0)

    async def reconcile(self, name: str) -> None:
        """Reconcile one service."""
        await self.reconciler.reconcile(Key(SERVICES, "default", name))

    def turn(self, name: str) -> None:
        """Make the replicas of a service ready where they were not, and the other way round."""
        self.launcher.turn(ServiceKey("default", name))


@contextmanager
def edge(*, envoy: bool) -> Iterator[None]:
    """Let daemons that are started meanwhile start nothing, but Envoy where it is wanted."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(local_parts, "Launcher", Pretender))
        stack.enter_context(patch.object(local_parts, "EnvironmentCache", NoEnvironments))
        stack.enter_context(patch.object(controllers, "InferenceServiceController", Reconciler))
        if not envoy:
            stack.enter_context(patch.object(local_parts, "Gateway", OpenGateway))
        yield


@asynccontextmanager
async def playing(folder: Path, port: int = 8080, *, envoy: bool = False) -> AsyncIterator[Stage]:
    """Run a daemon whose state is below a folder."""
    paths = paths_under(folder).make()
    zygotes = ZygotePool(paths.state / "zygotes")
    with edge(envoy=envoy):
        async with local_parts.started(Settings(paths, port), zygotes) as daemon:
            made = Reconciler.made
            yield Stage(daemon, made.sources.store, Pretender.made, made)


def make_service(name: str, model: Path) -> JsonObject:
    """Return a service as a person would write it."""
    predictor = {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": f"file://{model}"}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": predictor},
    }


def admitted(obj: JsonObject) -> JsonObject:
    """Return a service as admission lets it through."""
    admit = REGISTRY.get(SERVICES).admit
    assert admit is not None
    answer = admit(obj, None, AdmissionContext(CONFIGURATION["data"]))
    if answer.errors or answer.denied:
        raise RuntimeError(f"{answer.errors} {answer.denied}")
    return answer.obj


def is_ready(service: JsonObject) -> bool:
    """Tell whether a service is Ready."""
    conditions = (service.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
