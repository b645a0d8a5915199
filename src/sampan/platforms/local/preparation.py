"""What is being made ready for workloads: models fetched, environments built, in the background.

What was made ready is recorded on disk, so that a new daemon neither downloads again nor needs the
network to start another replica of a template that already ran.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from sampan.machinery.clock import Clock
from sampan.plan.observed import Link, LinkState
from sampan.plan.types import ServiceKey
from sampan.platforms.local.desired import DesiredWorkload
from sampan.platforms.local.environments import EnvironmentCache, EnvironmentFailed
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_access import Access, NoAccess
from sampan.platforms.local.private_file import write_private_file
from sampan.storage.base import Fetched, FetchOptions, Progress, ReportProgress, StorageError

Fetch: TypeAlias = Callable[[str, FetchOptions, ReportProgress], Awaitable[Fetched]]

_TELL_SECONDS = 0.5
"""Progress is told to watchers at most this often: each telling is a status write."""


@dataclass(slots=True)
class Preparation:
    """How far one workload's template is.

    `models` maps the URIs that are here to folders, `notes` those of which something is to be said.
    """

    service: ServiceKey
    workload: str
    component: str
    template_hash: str
    download: Link = Link()
    environment: Link = Link()
    models: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What preparing needs of the world. `on_built` hears of an environment before its models."""

    layout: Layout
    environments: EnvironmentCache
    fetch: Fetch
    options: FetchOptions
    clock: Clock
    search_path: str
    on_built: Callable[[DesiredWorkload], None] = lambda _: None
    access: Access = NoAccess()


def retry_delay(attempt: int, *, retryable: bool) -> float:
    """Return seconds until a failed step is tried again; `attempt` counts from 1. Pure.

    What trying again can help starts at 2 s. What most likely needs a person (no such file, a
    refused source) starts at kubelet's 10 s; both double, up to a minute and kubelet's 5 minutes.
    """
    first, most = (2.0, 60.0) if retryable else (10.0, 300.0)
    return float(min(most, first * 2 ** min(attempt - 1, 10)))


class Preparations:
    """The preparations of all services, one a workload: that of its newest template."""

    def __init__(self, tools: Tools, notify: Callable[[ServiceKey], None]) -> None:
        self._tools = tools
        self._notify = notify
        self._all: dict[ServiceKey, dict[str, Preparation]] = {}

    def load(self) -> None:
        """Take up the records of an earlier daemon; those whose models are gone are dropped."""
        for path in (self._tools.layout.state / "prepared").glob("*/*/*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                found = _decode(json.loads(path.read_text()))
                if all(Path(folder).exists() for folder in found.models.values()):
                    self._all.setdefault(found.service, {})[found.workload] = found

    def of(self, service: ServiceKey) -> list[Preparation]:
        """Return the preparations of a service."""
        return list(self._all.get(service, {}).values())

    def services(self) -> Iterator[ServiceKey]:
        """Yield every service that something is prepared for."""
        return iter(list(self._all))

    def take(self, workload: DesiredWorkload) -> Sequence[str] | None:
        """Return the folders of a workload's models, or None when something is not there any more.

        Caches may be emptied at any time: what has gone is prepared again.
        """
        found = self._all.get(workload.service, {}).get(workload.name)
        if found is None or found.template_hash != workload.template_hash:
            return None
        folders = [found.models.get(m.uri, "") for m in workload.models]
        lost = []
        if not all(folder and Path(folder).exists() for folder in folders):
            lost.append("download")
        requirements = workload.requirements
        if requirements is not None and not self._tools.environments.is_built(requirements):
            lost.append("environment")
        for link in lost:
            self._set(found, link, Link(since=self._tools.clock.now()))
        return None if lost else folders

    def fetch(self, workload: DesiredWorkload) -> None:
        """Start to fetch a workload's models."""
        self._run("download", workload, self._fetch)

    def build(self, workload: DesiredWorkload) -> None:
        """Start to build a workload's environment, or tell the problem that it has."""
        self._run("environment", workload, self._build)

    async def forget(self, service: ServiceKey, workload: str) -> None:
        """End what runs for a workload and drop its record."""
        prepared = self._all.get(service, {})
        found = prepared.pop(workload, None)
        if not prepared:
            self._all.pop(service, None)
        if found is not None:
            await _cancel(found.tasks.values())
        self._tools.layout.prepared(service, workload).unlink(missing_ok=True)

    async def close(self) -> None:
        """End everything that runs; records stay."""
        everything = [p for prepared in self._all.values() for p in prepared.values()]
        await _cancel(task for p in everything for task in p.tasks.values())

    def _run(
        self,
        link: str,
        workload: DesiredWorkload,
        work: Callable[[DesiredWorkload, Preparation], Coroutine[Any, Any, None]],
    ) -> None:
        found = self._current(workload)
        running = found.tasks.get(link)
        if running is not None and not running.done():
            return
        self._set(found, link, Link(LinkState.RUNNING, since=self._tools.clock.now()))
        found.tasks[link] = asyncio.create_task(
            self._guard(link, workload, found, work), name=f"{link} {workload.name}"
        )

    def _current(self, workload: DesiredWorkload) -> Preparation:
        prepared = self._all.setdefault(workload.service, {})
        found = prepared.get(workload.name)
        if found is None or found.template_hash != workload.template_hash:
            for task in found.tasks.values() if found else ():
                task.cancel()
            found = prepared[workload.name] = Preparation(
                workload.service, workload.name, workload.component, workload.template_hash
            )
        return found

    async def _guard(
        self,
        link: str,
        workload: DesiredWorkload,
        found: Preparation,
        work: Callable[[DesiredWorkload, Preparation], Coroutine[Any, Any, None]],
    ) -> None:
        """Do the work and turn its errors into the state of its link."""
        now = self._tools.clock.now
        try:
            await work(workload, found)
        except StorageError as error:
            self._fail(found, link, error.reason, error.message, retryable=error.retryable)
        except EnvironmentFailed as error:
            self._fail(found, link, error.reason, error.message)
        except OSError as error:
            self._fail(found, link, "LocalIOError", f"{error}; see to the disk and its rights")
        except Exception as error:  # noqa: BLE001 - a bug must show as a failed link, not as silence
            self._fail(found, link, "InternalError", f"{type(error).__name__}: {error}")
        else:
            state: Link = getattr(found, link)
            if state.state is LinkState.RUNNING:
                # A note (an old copy served offline) stays readable after the work is done.
                message = "; ".join(found.notes.values()) if link == "download" else ""
                self._set(found, link, Link(LinkState.DONE, message=message, since=now(),
                                            done=state.done, total=state.total))  # fmt: skip
            self._record(found)
            if link == "environment" and found.download.state is LinkState.RUNNING:
                self._tools.on_built(workload)

    async def _fetch(self, workload: DesiredWorkload, found: Preparation) -> None:
        for source in workload.models:
            uri, options = await self._tools.access.prepare(
                workload.template, workload.service.namespace, source.uri, self._tools.options
            )
            fetched = await self._tools.fetch(
                uri, options, lambda progress: self._progress(found, progress)
            )
            found.models[source.uri] = str(fetched.path)
            if fetched.note:
                found.notes[source.uri] = fetched.note

    async def _build(self, workload: DesiredWorkload, found: Preparation) -> None:
        if workload.problem is not None:
            now, problem = self._tools.clock.now(), workload.problem
            # Nothing is fetched for what cannot run; `take` finds out when it can after all.
            found.download = Link(LinkState.DONE, "NotNeeded", since=now)
            failed = Link(LinkState.FAILED, problem.reason, problem.message, now)
            self._set(found, "environment", failed)
            return
        if workload.requirements is not None:
            await self._tools.environments.build(
                workload.requirements, lambda line: self._say(found, line)
            )
        self._check_programs(workload, found)

    def _check_programs(self, workload: DesiredWorkload, found: Preparation) -> None:
        """Fail where a command of a container is not on this machine."""
        for program in (part.program for part in (workload, *workload.beside)):
            if program and shutil.which(program, path=self._tools.search_path) is None:
                self._fail(found, "environment", "CommandNotFound",
                           f'the command "{program}" is not on the PATH of this machine; '
                           "install it, or name it by its absolute path")  # fmt: skip

    def _fail(
        self, found: Preparation, link: str, reason: str, message: str, *, retryable: bool = False
    ) -> None:
        found.attempts[link] = attempt = found.attempts.get(link, 0) + 1
        now = self._tools.clock.now()
        delay = retry_delay(attempt, retryable=retryable)
        self._set(found, link, Link(LinkState.FAILED, reason, message, now, retry_at=now + delay))

    def _progress(self, found: Preparation, progress: Progress) -> None:
        since = found.download.since
        found.download = Link(LinkState.RUNNING, "Downloading", progress.phase, since,
                              progress.done, progress.total)  # fmt: skip
        self._tell(found)

    def _say(self, found: Preparation, line: str) -> None:
        since = found.environment.since
        found.environment = Link(LinkState.RUNNING, "BuildingEnvironment", line.strip(), since)
        self._tell(found)

    def _tell(self, found: Preparation) -> None:
        now = self._tools.clock.now()
        if now - found.told_at >= _TELL_SECONDS:
            found.told_at = now
            self._notify(found.service)

    def _set(self, found: Preparation, link: str, state: Link) -> None:
        setattr(found, link, state)
        self._notify(found.service)

    def _record(self, found: Preparation) -> None:
        if not all(k.state is LinkState.DONE for k in (found.download, found.environment)):
            return
        path = self._tools.layout.prepared(found.service, found.workload)
        write_private_file(path, json.dumps(_encode(found)).encode())


def _encode(found: Preparation) -> dict[str, Any]:
    return {
        "namespace": found.service.namespace,
        "service": found.service.name,
        "workload": found.workload,
        "component": found.component,
        "templateHash": found.template_hash,
        "models": found.models,
    }


def _decode(record: Mapping[str, Any]) -> Preparation:
    done = Link(LinkState.DONE)
    return Preparation(
        ServiceKey(record["namespace"], record["service"]),
        record["workload"],
        record["component"],
        record["templateHash"],
        done,
        done,
        dict(record["models"]),
    )


async def _cancel(tasks: Any) -> None:
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
