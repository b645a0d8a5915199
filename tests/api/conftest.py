"""Recordings of KServe's own behaviour, for tests that hold ours against it.

They lie beside the repository and are no part of it; without them these tests skip, saying so.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.api.scheme import REGISTRY
from sampan.machinery.registry import AdmissionContext, Admitted

SHARED = Path(__file__).parents[3] / "shared"
SETUPS = ("standard-gateway", "standard-ingress", "knative")
CLUSTER_SCOPED = ("Cluster", "LocalModelCache", "LocalModelNode")

Json = dict[str, Any]


@dataclass(frozen=True)
class Recordings:
    """What was recorded, by set-up."""

    root: Path
    cache: dict[str, Mapping[str, str]] = field(default_factory=dict)
    definitions: dict[str, Json] = field(default_factory=dict)

    def sample(self, name: str) -> Json:
        """Return a sample as KServe's API server got it: in the namespace `golden`."""
        obj = yaml.safe_load((self.root / "samples" / f"{name}.yaml").read_text())
        if not obj["kind"].startswith(CLUSTER_SCOPED):
            obj["metadata"]["namespace"] = "golden"
        return obj

    def recorded(self, setup: str, name: str) -> Json:
        """Return what KServe made of a sample."""
        return json.loads((self.root / "golden" / setup / f"{name}.json").read_text())

    def lifecycle(self, name: str) -> Json:
        """Return a scripted lifecycle, `set-up/scenario`."""
        return json.loads((self.root / "golden" / "lifecycle" / f"{name}.json").read_text())

    def configuration(self, setup: str) -> Mapping[str, str]:
        """Return the data of `inferenceservice-config` of a set-up."""
        if setup not in self.cache:
            path = self.root / "golden" / "installed" / f"inferenceservice-config.{setup}.json"
            self.cache[setup] = json.loads(path.read_text())
        return self.cache[setup]

    def runtimes(self) -> tuple[Json, ...]:
        """Return the ClusterServingRuntimes that were installed."""
        folder = self.root / "golden" / "installed"
        paths = sorted(folder.glob("clusterservingruntime-*.json"))
        return tuple(json.loads(path.read_text()) for path in paths)

    def definition(self, plural: str) -> Json:
        """Return a CustomResourceDefinition, read once: some have megabytes."""
        if plural not in self.definitions:
            path = self.root / "crds" / "kserve" / f"serving.kserve.io_{plural}.yaml"
            self.definitions[plural] = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        return self.definitions[plural]


def _absent() -> str:
    return f"no recordings of KServe: {SHARED} is absent"


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    if not SHARED.is_dir():
        pytest.skip(_absent())
    return Recordings(SHARED)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `sample_name`, `lifecycle_name` or `setup` once for each."""
    if "setup" in metafunc.fixturenames:
        metafunc.parametrize("setup", SETUPS)
    samples = (p.stem for p in (SHARED / "samples").glob("*.yaml"))
    _parametrize(metafunc, "sample_name", samples)
    lifecycles = (SHARED / "golden" / "lifecycle").glob("*/*.json")
    _parametrize(metafunc, "lifecycle_name", (f"{p.parent.name}/{p.stem}" for p in lifecycles))


def _parametrize(metafunc: pytest.Metafunc, name: str, values: Any) -> None:
    if name in metafunc.fixturenames:
        skipped = pytest.param("", marks=pytest.mark.skip(reason=_absent()))
        metafunc.parametrize(name, sorted(values) or [skipped])


Admits = Callable[..., Admitted]


@pytest.fixture(scope="session")
def admit() -> Admits:
    """Return admission of an object of any kind that is served."""

    def admit(
        obj: Json,
        old: Json | None = None,
        configuration: Mapping[str, str] | None = None,
        neighbours: tuple[Json, ...] = (),
    ) -> Admitted:
        resource = REGISTRY.for_object(obj)
        assert resource is not None, obj
        assert resource.admit is not None
        return resource.admit(obj, old, AdmissionContext(configuration or {}, neighbours))

    return admit


@pytest.fixture
def service() -> Callable[..., Json]:
    """Return a maker of services: a predictor, and what else stands in metadata and spec."""

    def make(predictor: Json | None = None, mode: str = "Standard", **spec: Any) -> Json:
        model = {"modelFormat": {"name": "sklearn"}, "storageUri": "file:///models/iris"}
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": "iris",
                "namespace": "default",
                "annotations": {"serving.kserve.io/deploymentMode": mode},
            },
            "spec": {"predictor": {"model": model} if predictor is None else predictor, **spec},
        }

    return make
