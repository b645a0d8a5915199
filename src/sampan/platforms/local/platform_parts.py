"""What the local platform is made of: its settings, and the parts of the world it works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sampan.machinery.clock import Clock
from sampan.plan.types import ServiceKey
from sampan.platforms.local.devices import gather_devices
from sampan.platforms.local.environments import EnvironmentCache
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_access import Access, NoAccess
from sampan.platforms.local.preparation import Fetch
from sampan.platforms.local.process import ProcessSpec, ProcessState
from sampan.platforms.local.publishing import Door
from sampan.platforms.local.references import References
from sampan.platforms.local.room import Memory, observe_memory
from sampan.storage.base import FetchOptions


class ProcessLauncher(Protocol):
    """What is needed of a launcher (`sampan.platforms.local.launcher.Launcher`)."""

    async def adopt(self) -> tuple[ProcessState, ...]:
        """Take over the replicas of an earlier daemon."""

    async def start(self, spec: ProcessSpec) -> ProcessState:
        """Begin to start a replica."""

    async def stop(self, replica: str, grace_seconds: float) -> None:
        """Begin to stop a replica."""

    async def wait_stopped(self, replica: str) -> None:
        """Return when a replica that is being stopped is gone."""

    def restamp(self, replica: str, template_hash: str) -> None:
        """Note another hash for the template that a replica runs."""

    def states(self) -> tuple[ProcessState, ...]:
        """Return what is known of every replica."""

    def states_of(self, service: ServiceKey) -> tuple[ProcessState, ...]:
        """Return what is known of a service's replicas."""

    def warm(self, spec: ProcessSpec) -> None:
        """Prepare for such a replica ahead of its start."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What the platform is given: folders, the user's variables, images, and what may be fetched.

    `images` is asked at each decision, so that an edited table counts without a restart.
    """

    layout: Layout
    environ: Mapping[str, str]
    images: Callable[[], ImageTable]
    options: FetchOptions
    devices: Callable[[Mapping[str, str]], Mapping[str, Sequence[str]]] = gather_devices
    memory: Callable[[], Memory | None] = observe_memory


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the world that the platform works with.

    `refused` is told a workload, as `namespace/name`, for which the machine has no room: who waits
    for it need not wait (`LocalPlatform.no_room` says why).
    """

    launcher: ProcessLauncher
    gateway: Door
    references: References
    environments: EnvironmentCache
    fetch: Fetch
    clock: Clock
    refused: Callable[[str], None] = lambda _: None
    access: Access = NoAccess()
