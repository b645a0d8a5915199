"""How fast decisions are made: the samples of KServe's users, defaulted, validated and planned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.row import Goal, Row, make_row
from bench.setting import CannotMeasure, Setting

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
SECONDS = 2.0


def samples(setting: Setting) -> Iterator[Row]:
    """InferenceServices a second on a core, from JSON as it was written to a plan."""
    services = _services()
    rates = [_rate(services) for _ in range(setting.rounds)]
    told = f"{len(services)} InferenceServices"
    yield make_row(
        "samples defaulted, validated and planned", "samples/s", rates, [], Goal(), note=told
    )
    slowness = [1000 / rate for rate in rates]
    yield make_row("the same, one sample", "ms of CPU", slowness, [], Goal(limit=1000 / 300))


def _services() -> list[dict]:
    import yaml

    if not SAMPLES.is_dir():
        raise CannotMeasure(f'no samples of KServe beside this repository ("{SAMPLES.name}")')
    found = [
        obj
        for path in sorted(SAMPLES.rglob("*.y*ml"))
        for obj in yaml.safe_load_all(path.read_text())
        if isinstance(obj, dict) and obj.get("kind") == "InferenceService"
    ]
    return [obj for obj in found if str(obj.get("apiVersion", "")).endswith("/v1beta1")]


def _rate(services: list[dict]) -> float:
    from bench.control_plane_rows.stage import SERVICES

    from sampan.api.config import parse_cached
    from sampan.api.scheme import REGISTRY
    from sampan.app.bootstrap import CONFIGURATION, shipped_runtimes
    from sampan.machinery.registry import AdmissionContext
    from sampan.plan.build import build_plan
    from sampan.plan.observed import NOTHING
    from sampan.plan.types import Gateway, Snapshot

    admit = REGISTRY.get(SERVICES).admit
    context = AdmissionContext(CONFIGURATION["data"])
    config = parse_cached(CONFIGURATION["data"]).config
    runtimes = tuple(shipped_runtimes())
    count, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        for service in services:
            named = {"namespace": "default", **service.get("metadata", {})}
            admitted = admit({**service, "metadata": named}, None, context)
            count += 1
            if not admitted.errors and not admitted.denied:
                build_plan(Snapshot(admitted.obj, (), runtimes, config, Gateway(), NOTHING, 0.0))
    return count / (time.process_time() - began)
