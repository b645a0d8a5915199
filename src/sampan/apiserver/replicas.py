"""Replicas as pods: what the platform shows of the processes that it runs, and their logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Protocol

from sampan.machinery.registry import JsonObject, Resource

PODS = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    singular="pod",
    short_names=("po",),
    categories=("all",),
    generation=False,
    read_only=True,
)


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is asked for (Kubernetes `PodLogOptions`).

    `since` is seconds since the epoch; `tail_lines` and `limit_bytes` None: all.
    """

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: float = 0.0
    tail_lines: int | None = None
    limit_bytes: int | None = None


class ReplicaSource(Protocol):
    """Who knows the replicas: the platform."""

    async def pods(self) -> Iterable[JsonObject]:
        """Return every replica as a Pod (`metadata`, `spec`, `status`), in no order."""

    def changes(self) -> AsyncIterator[object]:
        """Yield something whenever the answer of `pods` may have changed."""

    def log(self, namespace: str, name: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Yield a replica's log, in pieces of whole lines; raise ApiError before the first."""


@dataclass(frozen=True, slots=True)
class PodSource:
    """The source of the view of pods."""

    replicas: ReplicaSource

    async def objects(self) -> Iterable[JsonObject]:
        """Return every replica as a Pod."""
        return await self.replicas.pods()

    def changes(self) -> AsyncIterator[object]:
        """Yield whenever replicas may have changed."""
        return self.replicas.changes()
