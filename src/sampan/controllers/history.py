"""The revisions of all services: kept as ControllerRevisions, known without asking the store.

This is their only writer, so that what was read at the start and written since is all there is. A
revision is recorded after the status that speaks of it: a daemon that is killed between the two
makes the same one again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sampan.controllers.gather import Sources
from sampan.machinery.errors import AlreadyExists, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.build import build_plan
from sampan.plan.revision import History, Revision
from sampan.plan.revision_data import decode_workload, make_revision_object, read_revision
from sampan.plan.revision_keep import select_collectable
from sampan.plan.types import Plan, Snapshot, Workload

log = logging.getLogger(__name__)

REVISIONS = "controllerrevisions.apps"


class Histories:
    """The history of each service, by the uid of its object."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[Revision, ...]] = {}

    async def load(self) -> None:
        """Read what earlier daemons recorded."""
        found: dict[str, list[Revision]] = {}
        for obj in (await self._store.list(REVISIONS)).items:
            try:
                uid = obj["metadata"]["ownerReferences"][0]["uid"]
                found.setdefault(uid, []).append(read_revision(obj))
            except (KeyError, IndexError, ValueError):
                log.warning("ControllerRevision %s is none of ours", obj["metadata"].get("name"))
        order = lambda r: (r.component, r.number)  # noqa: E731 # one use
        self._known = {uid: tuple(sorted(rs, key=order)) for uid, rs in found.items()}

    def of(self, service: Mapping[str, Any]) -> History:
        """Return the history of a service, as far as it is known without reading."""
        return History(self._known.get(str(service["metadata"].get("uid")), ()))

    def forget(self, service: Mapping[str, Any]) -> None:
        """Let go of a service that is gone; its revisions are collected as it owns them."""
        self._known.pop(str(service["metadata"].get("uid")), None)

    async def record(self, service: Mapping[str, Any], plan: Plan, now: float) -> None:
        """Write the revisions of a plan that are new, and delete those that nobody needs."""
        for rollout in plan.rollouts:
            if rollout.new:
                name = rollout.created.workload
                workload = next(w for w in plan.workloads if w.name == name)
                await self._create(make_revision_object(service, rollout.created, workload))
                self._add(service, rollout.created)
                await self._collect(service, plan, now)

    async def read(self, namespace: str, names: Iterable[str]) -> Mapping[str, Workload]:
        """Return what these revisions are made of; those that are gone are absent."""
        found = {}
        for name in names:
            try:
                obj = await self._store.get(Key(REVISIONS, namespace, name))
                found[name] = decode_workload(obj["data"]["workload"])
            except (NotFound, KeyError, TypeError, ValueError) as error:
                log.warning("revision %s/%s cannot be read: %s", namespace, name, error)
        return found

    async def _create(self, obj: JsonObject) -> None:
        try:
            await self._store.create(REVISIONS, obj)
        except AlreadyExists:  # of a service of the same name, which is gone
            metadata = obj["metadata"]
            await self._delete(metadata["namespace"], metadata["name"])
            await self._store.create(REVISIONS, obj)

    async def _collect(self, service: Mapping[str, Any], plan: Plan, now: float) -> None:
        uid = service["metadata"]["uid"]
        gone = select_collectable(self._known.get(uid, ()), plan.rollouts, now)
        for revision in gone:
            await self._delete(plan.service.namespace, revision.name)
        if gone:
            self._known[uid] = tuple(r for r in self._known[uid] if r not in gone)

    async def _delete(self, namespace: str, name: str) -> None:
        try:
            await self._store.delete(Key(REVISIONS, namespace, name))
        except NotFound:
            log.debug("revision %s/%s is gone already", namespace, name)

    def _add(self, service: Mapping[str, Any], revision: Revision) -> None:
        uid = str(service["metadata"]["uid"])
        order = lambda r: (r.component, r.number)  # noqa: E731 # one use
        self._known[uid] = tuple(sorted((*self._known.get(uid, ()), revision), key=order))


async def plan_with_history(sources: Sources, snapshot: Snapshot) -> tuple[Snapshot, Plan]:
    """Return the plan, made anew where it needs revisions that had to be read first."""
    plan = build_plan(snapshot)
    missing = {name for rollout in plan.rollouts for name in rollout.missing}
    histories, history = sources.histories, snapshot.history
    if not missing or histories is None or history is None:
        return snapshot, plan
    found = await histories.read(plan.service.namespace, sorted(missing))
    workloads = {**history.workloads, **found}
    snapshot = replace(snapshot, history=replace(history, workloads=workloads))
    return snapshot, build_plan(snapshot)
