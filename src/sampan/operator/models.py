"""The TrainedModels of a cluster: judged by their service, listed for its agent, told of it.

All models of a service are looked at together, as a part of looking at the service: its memory is
shared out once, its list (the ConfigMap that the agent follows) is written once however many models
have changed, and nobody else writes either meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.trainedmodel.conditions import IS_MMS_PREDICTOR, MODEL_CONDITIONS
from sampan.machinery.errors import ApiError, Conflict, NotFound, Unauthorized
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.applying import describe_refusal
from sampan.operator.cluster import Cluster
from sampan.operator.connection import Unavailable
from sampan.operator.finalizing import TRAINED_MODELS
from sampan.operator.own_admission import judge
from sampan.plan.model import modelconfig_name
from sampan.plan.trained_model import (
    FINALIZER,
    Judgement,
    derive_model_list,
    derive_orphan,
    derive_refusal,
    judge_together,
    merge_labels,
)
from sampan.platforms.kubernetes.kinds import CONFIG_MAPS
from sampan.platforms.kubernetes.modelconfig import MODELS_KEY

_FAILED = "ReconcileFailed"

Judged = tuple[JsonObject, Judgement]


class ModelKeeper:
    """Brings the models of one service at a time to what is planned.

    `alone`: no webhook has looked at them, so that their own admission is asked here.
    """

    def __init__(self, cluster: Cluster, *, alone: bool) -> None:
        self._cluster = cluster
        self._alone = alone

    async def converge(self, service: JsonObject, data: Mapping[str, str], now: float) -> bool:
        """Take the next steps for the models of a service; False where one is to be tried again.

        `data` is the configuration, for verdicts. Raises Conflict and what an API server that does
        not answer raises.
        """
        metadata = service["metadata"]
        models = self._of(metadata["namespace"], metadata["name"])
        name = modelconfig_name(service)
        if not models and not name:
            return True
        staying = [m for m in models if not _is_leaving(m)]
        judged = [
            await self._try_mark(model, found, now)
            for model, found in self._judge(staying, service, data, now)
        ]
        refusal = await self._list(name, service, judged) if name else ""
        if refusal:
            judged = [(m, _refuse(m, refusal, now, j)) for m, j in judged]
        for model, judgement in judged:
            await self._tell(model, judgement)
        for model in models:
            if _is_leaving(model) and not refusal:
                await self._let_go(model)
        return not refusal

    async def refuse(self, service: JsonObject, message: str, now: float) -> None:
        """Say of each model why its service has no list of models."""
        metadata = service["metadata"]
        condition = Condition(IS_MMS_PREDICTOR, ConditionStatus.FALSE, "IsNotMMSPredictor", message)
        for model in self._of(metadata["namespace"], metadata["name"]):
            if _is_leaving(model):
                await self._let_go(model)
            else:
                judgement = derive_refusal(model, condition, now)
                await self._tell(*await self._try_mark(model, judgement, now))

    async def bereave(self, key: Key, now: float) -> None:
        """See to the models of a service that does not exist: they wait for it, or may go."""
        for model in self._of(key.namespace, key.name):
            if _is_leaving(model):
                await self._let_go(model)
            else:
                judgement = derive_orphan(model, now)
                await self._tell(*await self._try_mark(model, judgement, now))

    def _of(self, namespace: str, service: str) -> list[JsonObject]:
        return list(self._cluster.own["trainedmodels"].indexed(f"{namespace}/{service}"))

    def _judge(
        self, models: Sequence[JsonObject], service: JsonObject, data: Mapping[str, str], now: float
    ) -> list[Judged]:
        """Judge the models; without a webhook first each by itself."""
        refused = [(m, judge(m, data)[1] if self._alone else "") for m in models]
        fit = [model for model, text in refused if not text]
        told = [(model, _refuse(model, text, now)) for model, text in refused if text]
        return [*judge_together(fit, service, now), *told]

    async def _list(self, name: str, service: JsonObject, judged: Iterable[Judged]) -> str:
        """Write the list where it says something else; return why it cannot be written, or ""."""
        key = Key(CONFIG_MAPS.id, service["metadata"]["namespace"], name)
        try:
            found = await self._cluster.remembered.get(key, service)
            known = str((found.get("data") or {}).get(MODELS_KEY) or "")
            wanted = derive_model_list(known, judged)
            if wanted != known:
                self._cluster.remembered.forget(key)  # whatever comes of the write
                made = await self._cluster.store.patch(key, make_listing(found, wanted))
                self._cluster.remembered.assume(key, made)
        except NotFound:
            served = any(judgement.served for _, judgement in judged)
            return f'ConfigMap "{name}" is not there; it comes with the service' if served else ""
        except (Unavailable, Unauthorized, Conflict):
            raise
        except ApiError as error:
            return describe_refusal(_named(name), error)
        return ""

    async def _try_mark(self, model: JsonObject, found: Judgement, now: float) -> Judged:
        """Mark a model; one that may not be written is not listed, and says why."""
        try:
            return await self._mark(model, found), found
        except (Unavailable, Unauthorized, Conflict):
            raise
        except ApiError as error:
            return model, _refuse(model, describe_refusal(model, error), now, found)

    async def _mark(self, model: JsonObject, judgement: Judgement) -> JsonObject:
        """Write a model's labels, and our finalizer: it does not go before its entry in the list.

        Returns the model as it is then.
        """
        metadata = model["metadata"]
        held = metadata.get("finalizers") or []
        marks: JsonObject = {"labels": merge_labels(model, judgement.labels)}
        if FINALIZER not in held:
            marks["finalizers"] = [*held, FINALIZER]
        elif marks["labels"] == (metadata.get("labels") or {}):
            return model
        changed = {**model, "metadata": {**metadata, **marks}}
        try:
            made = await self._cluster.store.update(TRAINED_MODELS, changed)
        except NotFound:
            return changed  # deleted meanwhile: that change is looked at next
        self._cluster.own["trainedmodels"].assume(made)
        return made

    async def _tell(self, model: JsonObject, judgement: Judgement) -> None:
        """Write the status of a model where it says something else."""
        generation = model["metadata"].get("generation") or 0
        status = judgement.status | {"observedGeneration": generation}
        if status != model.get("status"):
            with suppress(NotFound):  # deleted meanwhile: that change is looked at next
                told = {**model, "status": status}
                made = await self._cluster.store.update_status(TRAINED_MODELS, told)
                self._cluster.own["trainedmodels"].assume(made)

    async def _let_go(self, model: JsonObject) -> None:
        """Take our finalizer off a model that is to go."""
        metadata = model["metadata"]
        held = metadata.get("finalizers") or []
        if FINALIZER in held:
            kept = [f for f in held if f != FINALIZER]
            with suppress(NotFound):
                freed = {**model, "metadata": {**metadata, "finalizers": kept}}
                await self._cluster.store.update(TRAINED_MODELS, freed)


def make_listing(config_map: JsonObject, text: str) -> tuple[JsonObject, ...]:
    """Return the JSON patch that writes a list into a ConfigMap, as it was read. Pure."""
    data = {**(config_map.get("data") or {}), MODELS_KEY: text}
    version = config_map["metadata"]["resourceVersion"]
    return (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/data", "value": data},
    )


def _refuse(model: JsonObject, text: str, now: float, found: Judgement | None = None) -> Judgement:
    condition = Condition(MODEL_CONDITIONS.top, ConditionStatus.FALSE, _FAILED, text)
    return derive_refusal(model, condition, now, found)


def _named(name: str) -> JsonObject:
    return {"kind": CONFIG_MAPS.kind, "metadata": {"name": name}}


def _is_leaving(model: JsonObject) -> bool:
    return bool(model["metadata"].get("deletionTimestamp"))
