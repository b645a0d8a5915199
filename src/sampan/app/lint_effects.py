"""What of admitted objects would have no effect, or would not run, on a platform."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sampan.api.config import parse_config
from sampan.app.bootstrap import CONFIGURATION, shipped_runtimes
from sampan.app.offline_admission import select_configuration
from sampan.controllers.unbuilt import REASON_NOT_BUILT_YET, make_unbuilt_warnings
from sampan.machinery.registry import JsonObject
from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Plan, Snapshot
from sampan.platforms.local.images import ImageTable
from sampan.platforms.local.warnings import plan_warnings

SERVICE = "InferenceService"
NOT_HONOURED = "FieldNotHonoured"
_MODEL = "spec.predictor.model"
_FIELDS = {
    "NoSupportingRuntime": f"{_MODEL}.modelFormat.name",
    "RuntimeNotRecognized": f"{_MODEL}.runtime",
    "RuntimeDisabled": f"{_MODEL}.runtime",
}
"""The fields of reasons whose words, which are KServe's, name none."""
_FIELD = re.compile(r"(?:spec|metadata)(?:\.[\w-]+|\[[^\]]*\])+")


@dataclass(frozen=True, slots=True)
class Effect:
    """A sentence about a field, or about the whole object, and its stable name."""

    rule: str
    path: str
    text: str
    shows_path: bool = True


class Effects(Protocol):
    """A platform's word on objects."""

    def of(self, objects: Sequence[JsonObject]) -> list[list[Effect]]:
        """Return what is to be said of each object, which has been admitted."""


@dataclass(frozen=True, slots=True)
class LocalEffects:
    """This machine's. `images` is the table of images and the commands that stand for them."""

    images: Callable[[], ImageTable]

    def of(self, objects: Sequence[JsonObject]) -> list[list[Effect]]:
        """Return what of each object this machine does not honour, or does not run."""
        around = _around(objects)
        return [self._of(obj, around) for obj in objects]

    def _of(self, obj: JsonObject, around: Callable[[JsonObject], Snapshot]) -> list[Effect]:
        if obj["kind"] != SERVICE:
            found = make_unbuilt_warnings(obj)
            return [Effect(REASON_NOT_BUILT_YET, "", text, shows_path=False) for text in found]
        plan = build_plan(around(obj))
        named = dict.fromkeys((*plan.warnings, *plan_warnings(plan, self.images())))
        effects = [Effect(NOT_HONOURED, path, text) for path, text in named]
        return [*effects, *_blocks(plan)]


def _blocks(plan: Plan) -> list[Effect]:
    if plan.blocked is None:
        return []
    reason, message = plan.blocked.reason, plan.blocked.message
    named = _FIELD.search(message)
    field = named[0] if named else _FIELDS.get(reason, "")
    return [Effect(reason, field, f"it would not run: {message}", shows_path=False)]


def _around(objects: Sequence[JsonObject]) -> Callable[[JsonObject], Snapshot]:
    """Return what makes the snapshot of a service among the objects and what is shipped."""
    own = _of_kind(objects, "ClusterServingRuntime")
    names = {o["metadata"]["name"] for o in own}
    shipped = [o for o in shipped_runtimes() if o["metadata"]["name"] not in names]
    config = parse_config(select_configuration(objects, CONFIGURATION["data"])).config
    containers = tuple(_of_kind(objects, "ClusterStorageContainer"))

    def snapshot(service: JsonObject) -> Snapshot:
        namespace = service["metadata"]["namespace"]
        runtimes = _of_kind(objects, "ServingRuntime")
        near = tuple(r for r in runtimes if r["metadata"]["namespace"] == namespace)
        return Snapshot(
            service,
            near,
            (*own, *shipped),
            config,
            Gateway(),
            NOTHING,
            now=0.0,
            # None in the files says nothing of those that are installed.
            storage_containers=containers or None,
        )

    return snapshot


def _of_kind(objects: Sequence[JsonObject], kind: str) -> list[JsonObject]:
    return [o for o in objects if isinstance(o, Mapping) and o.get("kind") == kind]
