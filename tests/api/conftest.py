"""Where the recorded behaviour of KServe lies, when it is there."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

SHARED = Path(__file__).parents[3] / "shared"
SETUPS = ("standard-gateway", "standard-ingress", "knative")
KINDS = ("inferenceservice", "servingruntime", "clusterservingruntime")


def shared(name: str) -> Path:
    """Return a folder of recordings; skip where there is none."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"no recordings of KServe: {folder} is absent")
    return folder


def sample_names() -> list[str]:
    """Return the names of the samples of our kinds; none where there are no recordings."""
    return sorted(p.stem for kind in KINDS for p in (SHARED / "samples").glob(f"{kind}-*.yaml"))


def sample(name: str) -> dict[str, Any]:
    """Return a sample as KServe's API server got it: in the namespace `golden`."""
    obj = yaml.safe_load((shared("samples") / f"{name}.yaml").read_text())
    if not obj["kind"].startswith("Cluster"):
        obj["metadata"]["namespace"] = "golden"
    return obj


def recorded(setup: str, name: str) -> dict[str, Any]:
    """Return what KServe made of a sample."""
    return json.loads((shared("golden") / setup / f"{name}.json").read_text())


def configuration(setup: str) -> dict[str, str]:
    """Return the data of `inferenceservice-config` of a set-up."""
    path = shared("golden") / "installed" / f"inferenceservice-config.{setup}.json"
    return json.loads(path.read_text())


def installed_runtimes() -> tuple[dict[str, Any], ...]:
    """Return the ClusterServingRuntimes that were installed."""
    folder = shared("golden") / "installed"
    return tuple(
        json.loads(p.read_text()) for p in sorted(folder.glob("clusterservingruntime-*.json"))
    )
