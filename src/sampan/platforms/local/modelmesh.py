"""The models that services of ModelMesh mode have in shared processes: fetched, placed, reported.

Thin. A folder a runtime and namespace holds the register that its processes follow, the record
that a new daemon goes on from, and the reports of the processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sampan.machinery.clock import Clock
from sampan.mesh.documents import (
    REGISTER_FILE,
    REPORTS_FOLDER,
    ModelEntry,
    ModelState,
    Report,
    decode_report,
    encode_register,
    make_weight,
)
from sampan.mesh.placements import Placement, decode_placements, encode_placements, make_register
from sampan.plan.mesh_settings import MeshSettings
from sampan.plan.observed import Link, LinkState, MeshCopy, MeshSeen, ObservedWorkload
from sampan.plan.types import MeshModel, ServiceKey
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_access import Access, NoAccess
from sampan.platforms.local.preparation import Fetch, retry_delay
from sampan.platforms.local.private_file import make_private_folder, write_private_file
from sampan.storage.base import FetchOptions, Progress, StorageError

log = logging.getLogger(__name__)

RECORD_FILE = "placements.json"
LOOK_SECONDS = 0.25
"""How often the reports of processes are looked at: a `stat` of each."""
_BEST_FIRST = (ModelState.LOADED, ModelState.LOADING, ModelState.FAILED, ModelState.STANDBY)


@dataclass(slots=True)
class _Wanted:
    """The newest model of a service on its way here."""

    model: MeshModel
    download: Link = Link()
    attempts: int = 0
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Host:
    """The models in the processes of one runtime in one namespace."""

    key: ServiceKey
    settings: MeshSettings = MeshSettings()
    placements: dict[str, Placement] = field(default_factory=dict)
    reports: dict[int, Report] = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)


class MeshModels:
    """All models in shared processes. `notify` is told of a service whose model has changed."""

    def __init__(
        self,
        layout: Layout,
        fetch: Fetch,
        options: FetchOptions,
        clock: Clock,
        notify: Callable[[ServiceKey], None],
    ) -> None:
        self._layout = layout
        self.access: Access = NoAccess()
        """With what models are fetched; nothing by itself."""
        self._fetch = fetch
        self._options = options
        self._clock = clock
        self._notify = notify
        self._hosts: dict[ServiceKey, _Host] = {}
        self._wanted: dict[ServiceKey, _Wanted] = {}
        self._watching: asyncio.Task[None] | None = None

    def load(self) -> None:
        """Take up what an earlier daemon placed."""
        for path in self._layout.meshes.glob(f"*/*/{RECORD_FILE}"):
            key = ServiceKey(path.parent.parent.name, path.parent.name)
            with contextlib.suppress(OSError, ValueError):
                placed = decode_placements(path.read_bytes())
                self._hosts[key] = _Host(key, placements={p.service: p for p in placed})
        for host in self._hosts.values():
            self._read_reports(host)
        if self._hosts:
            self._watch()

    async def close(self) -> None:
        """End the background work; what is placed stays."""
        tasks = [self._watching, *(wanted.task for wanted in self._wanted.values())]
        waiting = [task for task in tasks if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    # -- steps -------------------------------------------------------------------------------

    def place(self, service: ServiceKey, model: MeshModel) -> None:
        """Bring a model here, in the background, and have the processes load it."""
        host = self._host(model.host)
        if host.settings != model.settings:
            self._keep(host, host.placements, model.settings)
        wanted = self._wanted.get(service)
        if wanted is None or wanted.model.id != model.id or wanted.model.host != model.host:
            if wanted is not None and wanted.task is not None:
                wanted.task.cancel()
            wanted = self._wanted[service] = _Wanted(model)
        wanted.model = model
        if wanted.task is not None and not wanted.task.done():
            return
        if self._is_placed(service, model):
            wanted.download = Link(LinkState.DONE, since=self._clock.now())
            self._notify(service)
            return
        wanted.download = Link(LinkState.RUNNING, since=self._clock.now())
        wanted.task = asyncio.create_task(
            self._bring(service, wanted), name=f"model of {service.name}"
        )

    def activate(self, service: ServiceKey) -> None:
        """Let the name of a service lead to its newest model; the old one goes."""
        host = self._host_of(service)
        if host is not None:
            active = host.placements[service.name].activated()
            self._keep(host, {**host.placements, service.name: active})
            self._notify(service)

    async def remove(self, service: ServiceKey) -> None:
        """Take the models of a service out of every process."""
        wanted = self._wanted.pop(service, None)
        if wanted is not None and wanted.task is not None:
            wanted.task.cancel()
            await asyncio.gather(wanted.task, return_exceptions=True)
        for host in self._hosts_of(service):
            self._take_out(host, service)
        self._notify(service)

    # -- what is seen ------------------------------------------------------------------------

    def host_key(self, service: ServiceKey) -> ServiceKey | None:
        """Return whose processes hold a service's models, as far as one is placed."""
        host = self._host_of(service)
        return host.key if host else None

    def observe(
        self, service: ServiceKey, workloads: tuple[ObservedWorkload, ...]
    ) -> MeshSeen | None:
        """Return what is known of a service's models; `workloads` are those of its host."""
        wanted, host = self._wanted.get(service), self._host_of(service)
        if host is None and wanted is None:
            return None
        replicas = {r.pid: r.name for w in workloads for r in w.replicas if r.running}
        placement = host.placements[service.name] if host else None
        if wanted is not None:
            target, download = wanted.model.id, wanted.download
        else:
            assert placement is not None  # noqa: S101  # there is a host, or something wanted
            target, download = placement.target.id, Link(LinkState.DONE)
        reports = {pid: r for pid, r in host.reports.items() if pid in replicas} if host else {}
        active = placement.active if placement else None
        return MeshSeen(
            target=make_copy(target, reports, replicas),
            host=host.key.name if host else "",
            settings=host.settings if host else MeshSettings(),
            active=make_copy(active.id, reports, replicas) if active else None,
            download=download,
            told=describe_memory(reports.values()),
            workloads=workloads,
        )

    # -- work --------------------------------------------------------------------------------

    async def _bring(self, service: ServiceKey, wanted: _Wanted) -> None:
        now, model = self._clock.now, wanted.model
        try:
            template = {"metadata": {"annotations": model.annotations}}
            uri, options = await self.access.prepare(
                template, service.namespace, model.uri, self._options
            )
            fetched = await self._fetch(uri, options, lambda progress: _progress(wanted, progress))
            size = fetched.size or await asyncio.to_thread(observe_size, fetched.path)
            path, weight = str(fetched.path), make_weight(size)
            self._place(
                service, model.host, ModelEntry(model.id, model.format, path, weight, model.trusted)
            )
        except StorageError as error:
            self._fail(wanted, error.reason, error.message, retryable=error.retryable)
        except OSError as error:
            self._fail(wanted, "LocalIOError", f"{error}; see to the disk and its rights")
        except Exception as error:  # noqa: BLE001 - a bug must show as a failed link, not as silence
            self._fail(wanted, "InternalError", f"{type(error).__name__}: {error}")
        else:
            wanted.download = Link(LinkState.DONE, message=fetched.note, since=now())
        self._notify(service)

    def _fail(self, wanted: _Wanted, reason: str, message: str, *, retryable: bool = False) -> None:
        wanted.attempts += 1
        now = self._clock.now()
        again = now + retry_delay(wanted.attempts, retryable=retryable)
        wanted.download = Link(LinkState.FAILED, reason, message, now, retry_at=again)

    def _place(self, service: ServiceKey, key: ServiceKey, entry: ModelEntry) -> None:
        for other in self._hosts_of(service):
            if other.key != key:
                self._take_out(other, service)
        host = self._host(key)
        before = host.placements.get(service.name)
        placed = before.placed(entry) if before else Placement(service.name, entry)
        self._keep(host, {**host.placements, service.name: placed})

    def _take_out(self, host: _Host, service: ServiceKey) -> None:
        others = {name: one for name, one in host.placements.items() if name != service.name}
        self._keep(host, others)

    def _is_placed(self, service: ServiceKey, model: MeshModel) -> bool:
        """Return whether a model is in the register, and its files are still there."""
        host = self._hosts.get(model.host)
        placement = host.placements.get(service.name) if host else None
        if placement is None or placement.target.id != model.id:
            return False
        return Path(placement.target.path).exists()

    def _keep(
        self, host: _Host, placements: dict[str, Placement], settings: MeshSettings | None = None
    ) -> None:
        """Write what a host should hold, then take it for true; raise OSError.

        What the disk has not taken has not happened, so that it is tried again. The record comes
        last: a daemon that dies in between does once more what the register tells already.
        """
        settings = settings or host.settings
        folder, placed = self._layout.mesh(host.key), placements.values()
        make_private_folder(folder / REPORTS_FOLDER)
        register = make_register(
            placed,
            capacity=settings.capacity,
            loading=settings.loading,
            timeout_seconds=settings.timeout_seconds,
        )
        write_private_file(folder / REGISTER_FILE, encode_register(register))
        write_private_file(folder / RECORD_FILE, encode_placements(placed))
        host.placements, host.settings = placements, settings

    # -- reports -----------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._look(), name="reports of shared processes")

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            for host in list(self._hosts.values()):
                before = {**host.reports}
                if self._read_reports(host):
                    for name in select_changed(host.placements.values(), before, host.reports):
                        self._notify(ServiceKey(host.key.namespace, name))

    def _read_reports(self, host: _Host) -> bool:
        """Read the reports that have changed; return whether one has, or is gone."""
        found: dict[str, int] = {}
        changed = False
        for path in (self._layout.mesh(host.key) / REPORTS_FOLDER).glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                found[path.name] = stamp = path.stat().st_mtime_ns
                if host.stamps.get(path.name) != stamp:
                    report = decode_report(path.read_bytes())
                    host.reports[report.pid] = report
                    changed = True
        for name in host.stamps.keys() - found.keys():
            host.reports.pop(int(Path(name).stem), None)
            changed = True
        host.stamps = found
        return changed

    def forget_reports(self, host: ServiceKey, pids: Iterable[int]) -> None:
        """Remove the reports of processes that are no more; `pids` are those that are."""
        known = self._hosts.get(host)
        alive = set(pids)
        for pid in [pid for pid in known.reports if pid not in alive] if known else []:
            path = self._layout.mesh(host) / REPORTS_FOLDER / f"{pid}.json"
            path.unlink(missing_ok=True)

    # -- small questions ---------------------------------------------------------------------

    def _host(self, key: ServiceKey) -> _Host:
        self._watch()
        return self._hosts.setdefault(key, _Host(key))

    def _hosts_of(self, service: ServiceKey) -> list[_Host]:
        return [
            host
            for key, host in self._hosts.items()
            if key.namespace == service.namespace and service.name in host.placements
        ]

    def _host_of(self, service: ServiceKey) -> _Host | None:
        return next(iter(self._hosts_of(service)), None)


def make_copy(model_id: str, reports: Mapping[int, Report], names: Mapping[int, str]) -> MeshCopy:
    """Return how a model is by all reports: the best of what they tell. Pure."""
    told = {pid: r.models[model_id] for pid, r in reports.items() if model_id in r.models}
    for state in _BEST_FIRST:
        those = {pid: one for pid, one in told.items() if one.state is state}
        if those:
            pid, one = next(iter(sorted(those.items())))
            return MeshCopy(
                id=model_id,
                state=state.value,
                message=one.message,
                since=one.since,
                copies=sum(o.state is ModelState.LOADED for o in told.values()),
                failed=sum(o.state is ModelState.FAILED for o in told.values()),
                location=names.get(pid, ""),
            )
    return MeshCopy(id=model_id)


def describe_memory(reports: Iterable[Report]) -> str:
    """Return how full the memory of processes is ("": none has told yet). Pure."""
    told = list(reports)
    if not told:
        return ""
    held = sum(one.state is ModelState.LOADED for report in told for one in report.models.values())
    known = len({name for report in told for name in report.models})
    used, capacity = sum(r.used for r in told), sum(r.capacity for r in told)
    gone = sum(r.evictions for r in told)
    return f"{held} of {known} models hold {used} of {capacity} bytes, {gone} made room for others"


def select_changed(
    placements: Iterable[Placement], before: Mapping[int, Report], now: Mapping[int, Report]
) -> list[str]:
    """Return the services of which the reports tell something new. Pure."""

    def told(reports: Mapping[int, Report], placement: Placement) -> list[object]:
        return [
            (pid, entry.id, asdict(one) if (one := report.models.get(entry.id)) else None)
            for pid, report in sorted(reports.items())
            for entry in placement.entries()
        ]

    return [p.service for p in placements if told(before, p) != told(now, p)]


def observe_size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _progress(wanted: _Wanted, progress: Progress) -> None:
    since = wanted.download.since
    wanted.download = Link(
        LinkState.RUNNING, "Downloading", progress.phase, since, progress.done, progress.total
    )
