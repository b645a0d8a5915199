"""Where the local platform keeps things: pure path arithmetic, no folder is made here.

Names that become folders are Kubernetes object names (DNS-1123), validated at admission, so they
hold neither `/` nor `..`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sampan.plan.types import ServiceKey


@dataclass(frozen=True, slots=True)
class Layout:
    """`state` belongs to one daemon; `cache` is shared by all daemons of the user.

    `kept`: where volumes stand, when they are to outlive a temporary `state`.
    """

    state: Path
    cache: Path
    kept: Path | None = None

    @property
    def environments(self) -> Path:
        """The virtual environments, one folder a key."""
        return self.cache / "environments"

    @property
    def models(self) -> Path:
        """The content-addressed cache of downloads."""
        return self.cache / "models"

    @property
    def volumes(self) -> Path:
        """The folder whose sub-folders stand for PersistentVolumeClaims."""
        return self.kept or self.state / "volumes"

    @property
    def meshes(self) -> Path:
        """What multi-model processes are told and tell, one folder a namespace."""
        return self.state / "modelmesh"

    def mesh(self, host: ServiceKey) -> Path:
        """Return the folder of the processes of one runtime in one namespace."""
        return self.meshes / host.namespace / host.name

    @property
    def routes(self) -> Path:
        """What the gateway was last given, so that a new daemon goes on from there."""
        return self.state / "routes.json"

    @property
    def addresses(self) -> Path:
        """The ports at which components answer each other."""
        return self.state / "addresses.json"

    def prepared(self, service: ServiceKey, workload: str) -> Path:
        """Return the record of what was fetched and built for a workload."""
        return self.state / "prepared" / service.namespace / service.name / f"{workload}.json"

    @property
    def pods(self) -> Path:
        """The folders of all replicas, one folder a namespace."""
        return self.state / "pods"

    def pod(self, service: ServiceKey, replica: str) -> Path:
        """Return a replica's own folder."""
        return self.pods / service.namespace / replica

    def inside(self, service: ServiceKey, replica: str, container_path: str) -> Path:
        """Return what stands for an absolute path of the container's file system."""
        return self.pod(service, replica) / "root" / container_path.lstrip("/")
