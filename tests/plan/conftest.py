"""Builders of the values that decisions are made of, and the recordings of a real KServe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sampan.api.config import Config
from sampan.plan.observed import (
    NOTHING,
    Exit,
    Link,
    LinkState,
    Observed,
    ObservedReplica,
    ObservedWorkload,
)
from sampan.plan.types import Gateway, Plan, Snapshot

SHARED = Path(__file__).parents[2].parent / "shared"
GOLDEN = SHARED / "golden"
NOW = 1_800_000_000.0
DONE = Link(LinkState.DONE)


def build_service(name: str = "iris", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    """An InferenceService as it is stored; `spec` are fields of the predictor, `model` by default.

    `annotations`, `labels`, `status` and `generation` go to their places.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "generation": spec.pop("generation", 1),
        "annotations": {
            "serving.kserve.io/deploymentMode": "Standard",
            **(spec.pop("meta_annotations", {})),
        },
        "labels": spec.pop("meta_labels", {}),
    }
    status = spec.pop("status", None)
    components = {k: spec.pop(k) for k in ("transformer", "explainer", "canary") if k in spec}
    if "containers" not in spec or "model" in spec:
        given = spec.pop("model", {})
        model = {
            "modelFormat": {"name": "sklearn"},
            "name": "",
            "resources": {},
            "storageUri": "file:///models/iris",
        }
        spec["model"] = {k: v for k, v in {**model, **given}.items() if v is not None}
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": spec, **components},
    }
    return {**service, "status": status} if status is not None else service


def build_runtime(name: str = "kserve-sklearnserver", **spec: Any) -> dict[str, Any]:
    """A runtime; `formats` are `name`, `name:version` or whole entries, `metadata` is merged."""
    formats = [f if isinstance(f, dict) else _entry(f) for f in spec.pop("formats", ("sklearn:1",))]
    metadata = {"name": name, **spec.pop("metadata", {})}
    container = {
        "name": "kserve-container",
        "image": "kserve/sklearnserver:latest",
        "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"],
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": metadata,
        "spec": {
            "supportedModelFormats": formats,
            "protocolVersions": ["v1", "v2"],
            "containers": [container],
            **spec,
        },
    }


def _entry(text: str) -> dict[str, Any]:
    name, _, version = text.partition(":")
    entry: dict[str, Any] = {"name": name, "autoSelect": True}
    return {**entry, "version": version} if version else entry


def build_snapshot(service: Mapping[str, Any] | None = None, **fields: Any) -> Snapshot:
    """A snapshot with one fitting cluster runtime and the default configuration."""
    values: dict[str, Any] = {
        "service": service if service is not None else build_service(),
        "runtimes": (),
        "cluster_runtimes": (build_runtime(),),
        "config": Config(),
        "gateway": Gateway(),
        "observed": NOTHING,
        "now": NOW,
    }
    return Snapshot(**{**values, **fields})


def build_replica(plan: Plan, ordinal: int = 0, **fields: Any) -> ObservedReplica:
    """A replica of the plan's workload that is ready, unless `fields` say otherwise."""
    workload = plan.workloads[0]
    values: dict[str, Any] = {
        "name": f"{workload.name}-{ordinal}",
        "workload": workload.name,
        "template_hash": workload.template_hash,
        "running": True,
        "ready": True,
        "created_at": NOW - 60,
        "started_at": NOW - 50,
        "load": DONE,
    }
    return ObservedReplica(**{**values, **fields})


def build_observed(plan: Plan, *replicas: ObservedReplica, **fields: Any) -> Observed:
    """What is seen when everything is prepared; `download`, `environment`, `route` may differ."""
    workload = plan.workloads[0]
    seen = ObservedWorkload(
        name=workload.name,
        component="predictor",
        template_hash=fields.pop("template_hash", workload.template_hash),
        download=fields.pop("download", DONE),
        environment=fields.pop("environment", DONE),
        replicas=replicas,
        replicas_wanted=workload.replicas,
    )
    return Observed(workloads=(seen,), **{"route": DONE, **fields})


def build_all_ready(plan: Plan, **fields: Any) -> Observed:
    """What is seen when every component's replicas are ready and requests pass.

    `fields` are those of the replicas of one component, by its name.
    """
    seen = tuple(
        ObservedWorkload(
            name=workload.name,
            component=workload.component.value,
            template_hash=workload.template_hash,
            download=DONE,
            environment=DONE,
            replicas=tuple(
                build_replica(
                    plan,
                    n,
                    name=f"{workload.name}-{n}",
                    workload=workload.name,
                    template_hash=workload.template_hash,
                    **fields.get(workload.component.value, {}),
                )
                for n in range(workload.replicas)
            ),
        )
        for workload in plan.workloads
    )
    return Observed(workloads=seen, route=fields.get("route", DONE))


def build_crash(plan: Plan, ordinal: int = 0, **fields: Any) -> ObservedReplica:
    """A replica whose process has ended and that waits before it starts again."""
    ended = Exit(
        code=1,
        reason="Error",
        message='the process ended with exit code "1"',
        last_lines=("Traceback (most recent call last):", "ValueError: not a model"),
        started_at=NOW - 30,
        finished_at=NOW - 20,
    )
    values: dict[str, Any] = {
        "running": False,
        "ready": False,
        "restarts": 1,
        "last_exit": ended,
        "load": Link(LinkState.FAILED, "Error", ended.message, NOW - 20),
        "back_off_until": NOW + 10,
    }
    return build_replica(plan, ordinal, **{**values, **fields})


class Builders:
    """The builders above, for tests to call."""

    service = staticmethod(build_service)
    runtime = staticmethod(build_runtime)
    snapshot = staticmethod(build_snapshot)
    replica = staticmethod(build_replica)
    crash = staticmethod(build_crash)
    all_ready = staticmethod(build_all_ready)
    observed = staticmethod(build_observed)
    now = NOW
    done = DONE


@pytest.fixture(scope="session")
def make() -> type[Builders]:
    """Builders of services, runtimes, snapshots and observations."""
    return Builders


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Where the recordings of a real KServe are; tests skip where there are none."""
    if not GOLDEN.is_dir():
        pytest.skip("no recordings of KServe beside this repository (../shared/golden)")
    return GOLDEN


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Callable[[str], dict[str, Any]]:
    """Recordings of a real KServe by their path, each read anew."""
    return lambda path: json.loads((golden_folder / path).read_text())


@pytest.fixture(scope="session")
def installed(
    golden_folder: Path, golden: Callable[[str], dict[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """The ClusterServingRuntimes with which the recordings were made."""
    paths = sorted((golden_folder / "installed").glob("clusterservingruntime-*.json"))
    return tuple(golden(f"installed/{p.name}") for p in paths)
