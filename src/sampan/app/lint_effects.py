"""What of admitted objects would have no effect, or would not run, on a platform."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sampan.api.config import parse_config
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import apply_bootstrap
from sampan.app.cluster_effects import GRAPH, SERVICE, cluster_warnings
from sampan.app.offline_admission import select_configuration
from sampan.controllers.gather import Sources, gather_for
from sampan.controllers.history import Histories
from sampan.controllers.inferencegraph import gather_graph
from sampan.controllers.unbuilt import REASON_NOT_BUILT_YET
from sampan.controllers.unhonoured import unhonoured
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject
from sampan.machinery.store_memory import MemoryStore
from sampan.plan.build import build_plan
from sampan.plan.graph_build import build_graph_plan
from sampan.plan.types import Blocked, Gateway, Plan
from sampan.platforms.base import Platform
from sampan.platforms.kubernetes.settings import parse_settings
from sampan.platforms.local.devices import gather_devices
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.render import render
from sampan.platforms.local.warnings import plan_warnings

_OF_THIS_MACHINE = "is not honoured here"
"""In a warning of `inferenceservice-config`, whose settings a cluster's objects do honour."""
NOT_HONOURED = "FieldNotHonoured"
_MODEL = "spec.predictor.model"
_FIELDS = {
    "NoSupportingRuntime": f"{_MODEL}.modelFormat.name",
    "RuntimeNotRecognized": f"{_MODEL}.runtime",
    "RuntimeDisabled": f"{_MODEL}.runtime",
}
"""The fields of reasons whose words, which are KServe's, name none."""
_FIELD = re.compile(r"(?:spec|metadata)(?:\.[\w-]+|\[[^\]]*\])+")
_LED = re.compile(
    r'((?:spec|metadata)(?:\.[^\s:."[\]]+|\["[^"]*"\]|\[\d+\])+[^\s:]*): (.*)', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Effect:
    """A sentence about a field, or about the whole object, and its stable name."""

    rule: str
    path: str
    text: str


class Effects(Protocol):
    """A platform's word on objects."""

    def concerns(self, warning: str) -> bool:
        """Whether a warning of admission is about this platform."""

    def of(self, objects: Sequence[JsonObject]) -> list[list[Effect]]:
        """Return what is to be said of each object, which has been admitted."""


@dataclass(frozen=True, slots=True)
class LocalEffects:
    """This machine's: asked as the daemon asks it, of a store that holds nothing but the objects.

    `images` is the table of images and the commands that stand for them. `applied` leaves out what
    is said only of a service that is new, such as of a canary without anything before it.
    """

    images: Callable[[], ImageTable]
    applied: bool = False

    def concerns(self, warning: str) -> bool:  # noqa: ARG002  # all do: it is what admits here
        """Return True."""
        return True

    def of(self, objects: Sequence[JsonObject]) -> list[list[Effect]]:
        """Return what of each object this machine does not honour, or does not run."""
        return asyncio.run(self._of_all(objects)) if objects else []

    async def _of_all(self, objects: Sequence[JsonObject]) -> list[list[Effect]]:
        async with _sources(objects, self) as sources:
            return [
                [
                    *map(_effect, await unhonoured(sources, obj)),
                    *await _obstacles(sources, obj, self.images()),
                ]
                for obj in objects
            ]

    def warnings(self, plan: Plan) -> tuple[tuple[str, str], ...]:
        """Return what the platform says of a plan, as `sampan.platforms.base.Platform`."""
        return plan_warnings(plan, self.images(), gather_devices(os.environ))


@asynccontextmanager
async def _sources(objects: Sequence[JsonObject], platform: LocalEffects) -> AsyncIterator[Sources]:
    clock = SystemClock()
    store = MemoryStore(REGISTRY, clock)
    for obj in objects:
        resource = REGISTRY.for_object(obj)
        if resource is not None and obj["metadata"].get("name"):
            with suppress(ApiError):  # one that is there twice has a finding of its own
                await store.create(resource.id, obj)
    await apply_bootstrap(store)

    def parse(found: JsonObject | None) -> Any:
        return parse_config((found or {}).get("data")).config

    # Only what it says of a plan is asked: nothing is started, nothing observed.
    asked = cast("Platform[Any, Any]", platform)
    try:
        histories = None if platform.applied else Histories(store)
        yield Sources(store, asked, clock, Gateway(), parse, histories=histories)
    finally:
        await store.close()


def _effect(text: str) -> Effect:
    led = _LED.match(text)
    rule = REASON_NOT_BUILT_YET if f" {REASON_NOT_BUILT_YET}: " in text[:80] else NOT_HONOURED
    return Effect(rule, led[1] if led else "", text)


async def _obstacles(sources: Sources, obj: JsonObject, images: ImageTable) -> list[Effect]:
    """Return why nothing of a service or graph would start, or why one of its components."""
    if obj["kind"] == SERVICE:
        plan = build_plan(await gather_for(sources, obj))
    elif obj["kind"] == GRAPH:
        plan = build_graph_plan(await gather_graph(sources, obj))
    else:
        return []
    if plan.blocked is not None:
        return [_block(plan.blocked)]
    return [
        Effect(w.problem.reason, f"spec.{w.component}", f"it would not run: {w.problem.message}")
        for w in render(plan, images).workloads
        if w.problem is not None
    ]


def _block(blocked: Blocked) -> Effect:
    named = _FIELD.search(blocked.message)
    field = named[0] if named else _FIELDS.get(blocked.reason, "")
    return Effect(blocked.reason, field, f"it would not run: {blocked.message}")


@dataclass(frozen=True, slots=True)
class KubernetesEffects:
    """A cluster's, as far as the objects that `sampan render` makes decide it."""

    def concerns(self, warning: str) -> bool:
        """Return whether it is not about this machine."""
        return _OF_THIS_MACHINE not in warning

    def of(self, objects: Sequence[JsonObject]) -> list[list[Effect]]:
        """Return what of each object no object of a cluster shows."""
        data = select_configuration(objects, {})
        config, settings = parse_config(data or None).config, parse_settings(data)
        return [
            [
                Effect(NOT_HONOURED, path, f"{path}: {sentence}")
                for path, sentence in cluster_warnings(obj, config, settings)
            ]
            for obj in objects
        ]
