"""Taking the steps to what should be: server-side applies, take-overs and deletions."""

from __future__ import annotations

import hashlib
import logging
from asyncio import gather
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sampan.machinery.errors import ApiError, Conflict, NotFound, Unauthorized
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Preconditions
from sampan.operator.cluster import Cluster, key_of_child
from sampan.operator.connection import Unavailable
from sampan.plan.events import WARNING, PlannedEvent
from sampan.platforms.kubernetes.children import (
    MANAGER,
    ApplyChild,
    ChildKey,
    ChildStep,
    DeleteChild,
    child_key,
    find_overwritten,
    is_former,
    make_takeover,
    needs_apply,
)
from sampan.platforms.kubernetes.kinds import ChildKind, kind_of
from sampan.platforms.kubernetes.status.observed import Failure

log = logging.getLogger(__name__)

KIND_MISSING = "KindNotInstalled"
NAME_OCCUPIED = "NameOccupied"
RECONCILE_FAILED = "ReconcileFailed"
CORRECTED = "ChildCorrected"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the steps: why some could not be taken, and what is worth telling."""

    failures: Mapping[ChildKey, Failure]
    events: tuple[PlannedEvent, ...] = ()


NOTHING_TAKEN = Taken({})


class Applier:
    """Takes steps, and remembers those whose object is not as was asked: they are not repeated.

    A server may write a value in another form than it was sent; without memory that would be
    applied at each look.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._led_to: dict[Key, tuple[bytes, str]] = {}

    async def take(self, steps: Iterable[ChildStep], live: Mapping[ChildKey, JsonObject]) -> Taken:
        """Take every step that can be taken. Raises Unavailable, Unauthorized and Conflict."""
        failures: dict[ChildKey, Failure] = {}
        events: list[PlannedEvent] = []
        for some in _in_turns(steps):
            taken = (self._take(step, live.get(child_key(step.obj))) for step in some)
            for step, came in zip(some, await gather(*taken, return_exceptions=True), strict=True):
                if isinstance(came, BaseException):
                    failures[child_key(step.obj)] = _failure(step, came)
                else:
                    events += came
        return Taken(failures, tuple(events))

    async def _take(self, step: ChildStep, live: JsonObject | None) -> list[PlannedEvent]:
        if isinstance(step, ApplyChild):
            return await self._apply(step, live)
        if isinstance(step, DeleteChild):
            await self._delete(step.obj)
            return []
        raise _StepRefusedError(Failure(NAME_OCCUPIED, step.message))

    async def _apply(self, step: ApplyChild, live: JsonObject | None) -> list[PlannedEvent]:
        kind = kind_of(step.obj)
        if self._cluster.is_absent(kind.resource):
            raise _StepRefusedError(Failure(KIND_MISSING, describe_missing(kind)))
        key, digest = key_of_child(step.obj), _digest(step.obj)
        version = str(live["metadata"].get("resourceVersion", "")) if live else ""
        if live is not None and self._led_to.get(key) == (digest, version):
            return []
        made = await self._cluster.store.apply(kind.resource.id, step.obj, MANAGER)
        if is_former(made):
            made = await self._cluster.store.patch(key, make_takeover(made))
        self._cluster.assume(made)
        self._led_to.pop(key, None)
        if needs_apply(step.obj, made):
            self._led_to[key] = (digest, str(made["metadata"].get("resourceVersion", "")))
        return [] if live is None or step.takes_over else _corrected(step.obj, live)

    async def _delete(self, obj: JsonObject) -> None:
        key = key_of_child(obj)
        self._led_to.pop(key, None)
        self._cluster.remembered.forget(key)
        try:
            await self._cluster.store.delete(key, Preconditions(obj["metadata"].get("uid")))
        except (NotFound, Conflict):
            return  # gone, or another one of that name by now: the watch will tell


def _in_turns(steps: Iterable[ChildStep]) -> Iterator[tuple[ChildStep, ...]]:
    """Yield what can be done at once: all that is made, then all that goes. An object that takes
    another's place is there before that one goes. Pure.
    """
    asked = tuple(steps)
    yield tuple(s for s in asked if not isinstance(s, DeleteChild))
    yield tuple(s for s in asked if isinstance(s, DeleteChild))


def _failure(step: ChildStep, came: BaseException) -> Failure:
    """Return why a step could not be taken; raise what concerns more than this object."""
    if isinstance(came, _StepRefusedError):
        return came.failure
    if isinstance(came, ApiError) and not isinstance(came, Unavailable | Conflict | Unauthorized):
        return Failure(RECONCILE_FAILED, describe_refusal(step.obj, came))
    raise came


class _StepRefusedError(Exception):
    """A step that is not even tried."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _corrected(desired: JsonObject, live: JsonObject) -> list[PlannedEvent]:
    field, who = find_overwritten(desired, live)
    if not field:
        return []
    name = f'{desired["kind"]} "{desired["metadata"]["name"]}"'
    text = (
        f'{name}: "{field}" was changed by "{who}" and is again what the service says; change the '
        "service instead"
    )
    return [PlannedEvent(WARNING, CORRECTED, text)]


def describe_missing(kind: ChildKind) -> str:
    """Return the message about a kind that the cluster does not have. Pure."""
    resource = kind.resource
    mend = f"install {kind.owner}, or {kind.instead}" if kind.optional else "see to its API server"
    return f'this cluster has no {resource.kind} of "{resource.api_version}"; {mend}'


def describe_refusal(obj: Mapping[str, Any], error: ApiError) -> str:
    """Return the message about an object that the API server refuses, in its words. Pure."""
    name = f'{obj["kind"]} "{obj["metadata"]["name"]}"'
    if error.code == 403 and "denied the request" not in error.message:  # a webhook's words
        return f"{name}: {error.message}; the operator's role must allow that"
    return f"{name}: {error.message}"


def _digest(obj: JsonObject) -> bytes:
    return hashlib.blake2b(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
