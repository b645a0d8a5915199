"""The recordings of a real KServe, and the objects that Sampan makes of the same services."""

from __future__ import annotations

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
from sampan.platforms.kubernetes.render import render
from sampan.platforms.kubernetes.settings import parse_settings
from sampan.platforms.kubernetes.source import Source

GOLDEN = Path(__file__).parents[3].parent / "shared" / "golden"
SET_UPS = ("standard-gateway", "standard-ingress", "knative")


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
        settings, routed = parse_settings(data), frozenset(more.get("routed", ()))
        opened = more.get("opened", False)
        return Source(service, plan, config, settings, frozenset(ready), routed, opened)

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
