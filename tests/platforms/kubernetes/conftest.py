"""The recordings of a real KServe, and the objects that Sampan makes of the same services."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.platforms.kubernetes.stored_objects import as_stored

from sampan.api.config import parse_config
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Role, Snapshot
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.render import render
from sampan.platforms.kubernetes.settings import parse_settings
from sampan.platforms.kubernetes.source import Source

GOLDEN = Path(__file__).parents[3].parent / "shared" / "golden"
SET_UPS = ("standard-gateway", "standard-ingress", "knative")

# The fixtures with which `withCredentials` was recorded (../shared/golden/README.md).
S3_ANNOTATIONS = {
    "serving.kserve.io/s3-endpoint": "minio-service.kubeflow:9000",
    "serving.kserve.io/s3-usehttps": "0",
    "serving.kserve.io/s3-region": "us-east-2",
    "serving.kserve.io/s3-useanoncredential": "false",
}
S3_KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
STORAGE_CONFIG = {
    "localMinIO": json.dumps({"type": "s3", "bucket": "other"}),
    "internalhdfs": json.dumps({"type": "hdfs"}),
}
HTTPS = {"https-host": "github.com", "headers": "{}"}


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Where the recordings of a real KServe are; tests skip where there are none."""
    if not GOLDEN.is_dir():
        pytest.skip("no recordings of KServe beside this repository (../shared/golden)")
    return GOLDEN


@pytest.fixture(scope="session")
def installed(golden_folder: Path) -> tuple[dict[str, Any], ...]:
    """The ClusterServingRuntimes with which the recordings were made."""
    paths = sorted((golden_folder / "installed").glob("clusterservingruntime-*.json"))
    return tuple(json.loads(p.read_text()) for p in paths)


@pytest.fixture(scope="session")
def config_data(golden_folder: Path) -> Callable[[str], dict[str, str]]:
    """The `data` of `inferenceservice-config` by set-up."""

    def read(set_up: str) -> dict[str, str]:
        path = golden_folder / "installed" / f"inferenceservice-config.{set_up}.json"
        data: dict[str, str] = json.loads(path.read_text())
        return data

    return read


@pytest.fixture(scope="session")
def make_source(
    installed: tuple[dict[str, Any], ...], config_data: Callable[[str], dict[str, str]]
) -> Callable[..., Source]:
    """A function from a service and a set-up to what its objects are rendered from.

    `ready`: True where every workload can take requests, or the names of those that can.
    """

    def make(service: dict[str, Any], set_up: str, *, ready: Any = False, **more: Any) -> Source:
        data = {**config_data(set_up), **more.get("config", {})}
        config = parse_config(data).config
        runtimes = tuple(more.get("runtimes", ()))
        snapshot = Snapshot(service, runtimes, installed, config, Gateway(), NOTHING, 0.0)
        plan = build_plan(snapshot, nothing_unbuilt)
        if isinstance(ready, bool):
            ready = {w.name for w in plan.workloads if w.role is not Role.WORKER} if ready else ()
        return Source(
            service,
            plan,
            config,
            parse_settings(data),
            frozenset(ready),
            around=more.get("around") or Surroundings(parse_pod_settings(data)),
            routed=frozenset(more.get("routed", ())),
            opened=more.get("opened", False),
        )

    return make


@pytest.fixture(scope="session")
def rendered(make_source: Callable[..., Source]) -> Callable[..., list[dict[str, Any]] | None]:
    """A function from a service and a set-up to its objects as an API server would show them.

    None where the plan is blocked: what is there then stays as it is.
    """

    def objects(service: dict[str, Any], set_up: str, **more: Any) -> list[dict[str, Any]] | None:
        source = make_source(service, set_up, **more)
        return None if source.plan.blocked else [as_stored(o) for o in render(source)]

    return objects


@pytest.fixture(scope="session")
def around(golden_folder, config_data):
    """What surrounded the pods of a set-up."""
    path = golden_folder / "installed" / "clusterstoragecontainer-default.json"
    containers = (json.loads(path.read_text()),)

    def make(set_up: str, fixtures: Any = ()) -> Surroundings:
        settings = parse_pod_settings(config_data(set_up))
        found = {(kind, name): make_fixture(kind, name, fixtures) for kind, name in fixtures}
        return Surroundings(
            settings,
            containers,
            secrets={name: o for (kind, name), o in found.items() if kind == "Secret"},
            accounts={name: o for (kind, name), o in found.items() if kind == "ServiceAccount"},
        )

    return make


def make_fixture(kind: str, name: str, fixtures: Any) -> dict[str, Any]:
    if kind == "ServiceAccount":
        secrets = [{"name": n} for k, n in fixtures if k == "Secret"]
        return {"metadata": {"name": name}, "secrets": secrets}
    data, annotations = S3_KEYS, S3_ANNOTATIONS
    for part, keys in (
        ("hf", {"HF_TOKEN": "t"}),
        ("ms", {"MODELSCOPE_API_TOKEN": "t"}),
        ("storage-config", STORAGE_CONFIG),
        ("mysecret", HTTPS),
    ):
        if name.startswith(part):
            data, annotations = keys, {}
    encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
    return {"metadata": {"name": name, "annotations": annotations}, "data": encoded}
