"""Rules about devices, replicas, roll-outs and caches (upstream's webhook, in its words)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sampan.api.llminferenceservice.review import Workload, invalid, required, workloads
from sampan.machinery.errors import FieldError
from sampan.machinery.quantity import parse_quantity
from sampan.machinery.registry import JsonObject

_UNSPREAD = (
    "when worker is specified, parallelism must be configured for either data parallelism or "
    "pipeline parallelism"
)
_PERCENT = "a valid percent string must be a numeric string followed by an ending '%'"


def spreads_rightly(service: JsonObject) -> Iterator[FieldError]:
    """Further pods have a part of the model each, in one of two ways."""
    for workload in workloads(service):
        yield from _spread(workload)


def _spread(workload: Workload) -> Iterator[FieldError]:
    worker, spread = workload.spec.get("worker"), workload.spec.get("parallelism")
    path = f"{workload.path}.parallelism"
    by_data, by_layers = _by_data(spread or {}), (spread or {}).get("pipeline") is not None
    if worker is not None and not by_data and not by_layers:
        yield invalid(f"{workload.path}.worker", worker, _UNSPREAD)
    if spread is None:
        return
    if by_data and by_layers:
        yield invalid(
            path,
            spread,
            "cannot set both pipeline parallelism and data parallelism (data or dataLocal) "
            "simultaneously",
        )
    for missing, given in (("dataLocal", "data"), ("data", "dataLocal")):
        if spread.get(missing) is None and spread.get(given) is not None:
            yield invalid(f"{path}.{missing}", None, f"{missing} must be set when {given} is set")


def _by_data(spread: JsonObject) -> bool:
    return spread.get("data") is not None or spread.get("dataLocal") is not None


def keeps_its_size(service: JsonObject, old: JsonObject | None) -> Iterator[FieldError]:
    """The number of pods of one copy cannot change."""
    before = {w.path: _size(w.spec) for w in workloads(old or {})}
    for workload in workloads(service):
        size = _size(workload.spec)
        earlier = before.get(workload.path, size) if old is not None else size
        if size != earlier:
            text = (
                f"Unsupported value: {size}: total parallelism size is immutable, previous size "
                f"{earlier}, curr size {size}"
            )
            yield FieldError(f"{workload.path}.parallelism", text, "FieldValueNotSupported")


def _size(spec: JsonObject) -> int:
    """Return how many pods one copy of the model has: pipeline stages, or nodes of data copies."""
    spread = spec.get("parallelism") or {}
    if spread.get("pipeline") is not None:
        return int(spread["pipeline"])
    if spread.get("data") is not None and spread.get("dataLocal") is not None:
        return max(1, int(spread["data"]) // int(spread["dataLocal"]))
    return 1


def scales_alike(service: JsonObject) -> Iterator[FieldError]:
    """Both workloads scale by the same means, where both do."""
    scalings = [w.spec["scaling"] for w in workloads(service) if w.spec.get("scaling") is not None]
    if len(scalings) < 2:
        return
    decode, prefill = scalings
    modes = ["direct keda" if s.get("keda") is not None else "wva" for s in (decode, prefill)]
    if modes[0] != modes[1]:
        yield invalid(
            "spec.prefill.scaling",
            prefill,
            f"decode and prefill must use the same scaling mode; decode uses {modes[0]} but "
            f"prefill uses {modes[1]}",
        )
        return
    if decode.get("wva") is None or prefill.get("wva") is None:
        return
    backends = ["hpa" if s["wva"].get("hpa") is not None else "keda" for s in (decode, prefill)]
    if backends[0] != backends[1]:
        yield invalid(
            "spec.prefill.scaling.wva",
            prefill["wva"],
            f"decode and prefill must use the same actuator backend; decode uses {backends[0]} "
            f"but prefill uses {backends[1]} — mixing backends requires two separate metric "
            "pipelines and leads to independent, unsynchronised scaling decisions",
        )


def offloads_to_one_place(service: JsonObject) -> Iterator[FieldError]:
    """Each slower place for the cache is a folder of the pod, or of one volume."""
    for workload in workloads(service):
        cache = workload.spec.get("kvCacheOffloading") or {}
        path = f"{workload.path}.kvCacheOffloading"
        tiers = cache.get("secondary") or []
        if tiers and parse_quantity(cache.get("cpu", "0")) == parse_quantity("0"):
            yield required(f"{path}.cpu", "cpu must be set when secondary tiers are configured")
        for index, tier in enumerate(tiers):
            yield from _tier(f"{path}.secondary[{index}].fileSystem", tier.get("fileSystem"))


def _tier(path: str, folder: JsonObject | None) -> Iterator[FieldError]:
    if folder is None:
        yield required(path, "only fileSystem tiers are supported; fileSystem must be set")
        return
    yield from _one_of(path, folder, "emptyDir", "pvc")
    claim = folder.get("pvc")
    if claim is not None and folder.get("emptyDir") is None:
        yield from _one_of(f"{path}.pvc", claim, "spec", "ref")
        if claim.get("spec") is None and (claim.get("ref") or {"name": "-"}).get("name") == "":
            yield required(f"{path}.pvc.ref.name", "name is required")


def _one_of(path: str, value: JsonObject, one: str, other: str) -> Iterator[FieldError]:
    text = f"exactly one of {one} or {other} must be set"
    given = [name for name in (one, other) if value.get(name) is not None]
    if not given:
        yield required(path, text)
    elif len(given) == 2:
        yield invalid(path, value, f"{text}; multiple are set")


def rolls_out(service: JsonObject) -> Iterator[FieldError]:
    """New replicas can take the place of old ones at all."""
    for workload in workloads(service):
        strategy = workload.spec.get("rolloutStrategy")
        if strategy is not None:
            path = f"{workload.path}.rolloutStrategy"
            wrong = [e for name in ("maxUnavailable", "maxSurge")
                     for e in _share(f"{path}.{name}", strategy.get(name))]  # fmt: skip
            yield from wrong or _progress(path, strategy, workload.spec.get("worker"))


def _share(path: str, value: Any) -> Iterator[FieldError]:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+%", value):
            yield invalid(path, value, f"{_PERCENT} (e.g. '1%',  or '93%', regex used for "
                          "validation is '[0-9]+%')")  # fmt: skip
        elif int(value[:-1]) > 100:
            yield invalid(path, value, "must not be greater than 100%")
    elif value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def _progress(path: str, strategy: JsonObject, worker: JsonObject | None) -> Iterator[FieldError]:
    missing, more = strategy.get("maxUnavailable"), strategy.get("maxSurge")
    # Of one replica, a share of what may be missing rounds down, one of what is more rounds up.
    none_missing = missing in (0, "0%") or (isinstance(missing, str) and missing != "100%")
    if not none_missing or missing is None:
        return
    if more in (0, "0%"):
        text = (
            "maxUnavailable and maxSurge cannot both be zero; this would prevent any rolling "
            "update progress"
        )
        yield invalid(path, strategy, text)
    if more is None and worker is not None:
        text = (
            "maxSurge is required for multi-node workloads when maxUnavailable is 0, otherwise no "
            "rolling update progress is possible"
        )
        yield required(f"{path}.maxSurge", text)
