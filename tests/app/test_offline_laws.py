"""Laws of looking at objects without a server: nothing is too odd to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.api.config import parse_cached
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION, shipped_runtimes
from sampan.app.findings import Severity
from sampan.app.lint import Text, lint
from sampan.app.lint_effects import KubernetesEffects, LocalEffects
from sampan.app.offline import render_offline
from sampan.app.offline_admission import judge
from sampan.app.portable import make_portable
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.observed import NOTHING
from sampan.plan.status import derive_status
from sampan.plan.types import Gateway, Snapshot
from sampan.plan.unbuilt import select_unbuilt
from sampan.platforms.local.image_table import read_image_table

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
RUNTIMES = tuple(shipped_runtimes())
LOCAL = LocalEffects(read_image_table(Path("/nonexistent")))

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
SOUND: list[dict[str, Any]] = [
    {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "a", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 2,
                "autoScaling": {"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]},
                "batcher": {"maxBatchSize": 1},
                "logger": {"mode": "all"},
                "model": {
                    "modelFormat": {"name": "sklearn"},
                    "storageUri": "gs://b/m",
                    "env": [{"name": "A", "value": "b"}],
                    "resources": {"limits": {"cpu": "1"}},
                },
            },
            "transformer": {"containers": [{"name": "kserve-container", "image": "i"}]},
        },
    },
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "a"},
        "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": "a"}]}}},
    },
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "a"},
        "spec": {
            "supportedModelFormats": [{"name": "a", "version": "1"}],
            "containers": [{"name": "kserve-container", "image": "i"}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": "kserve"},
        "data": {"deploy": '{"defaultDeploymentMode": "Standard"}'},
    },
]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [at, *(p for key, part in inner for p in paths(part, (*at, key)))]


@st.composite
def odd_objects(draw: st.DrawFn) -> Any:
    """A sound object with anything at all in the place of one of its parts."""
    obj: Any = json.loads(json.dumps(draw(st.sampled_from(SOUND))))
    path = draw(st.sampled_from(paths(obj)[1:]))
    target = obj
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = draw(JSON)
    return obj


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd_objects())
def test_whatever_an_object_holds_it_is_looked_at_and_found_sound_or_not(obj: Any) -> None:
    text = Text("f.yaml", yaml.safe_dump_all([obj, SOUND[0]]))
    for effects in (LOCAL, KubernetesEffects()):
        report = lint([text], effects)
        for finding in report.findings:
            assert finding.message
            assert finding.place.line >= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd_objects(), st.sampled_from(["Standard", "Knative", "ModelMesh"]))
def test_whatever_is_admitted_is_planned_and_has_a_status_on_both_platforms(
    obj: Any, mode: str
) -> None:
    data = {**CONFIGURATION["data"], "deploy": json.dumps({"defaultDeploymentMode": mode})}
    admitted = judge(obj, data, strict=False).obj
    if admitted is None or admitted["kind"] != "InferenceService":
        return
    config = parse_cached(data).config
    taken = Snapshot(admitted, (), RUNTIMES, config, Gateway(), NOTHING, now=0.0)
    for unbuilt in (select_unbuilt, nothing_unbuilt):
        plan = build_plan(taken, unbuilt)
        status = derive_status(taken, plan, NOTHING)
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert ready["status"] != "True", "nothing runs yet"
        again = Snapshot(
            {**admitted, "status": status}, (), RUNTIMES, config, Gateway(), NOTHING, now=9.0
        )
        assert derive_status(again, build_plan(again, unbuilt), NOTHING) == status


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_whatever_a_text_holds_it_is_looked_at(text: str) -> None:
    report = lint([Text("f.yaml", text)], LOCAL)
    assert report.texts == 1
    assert bool(report.count(Severity.ERROR)) or report.objects == 0


def portable(obj: dict[str, Any]) -> dict[str, Any]:
    return make_portable(obj, lambda one: judge(one, {}, strict=False).obj)


def holds_what_it_means(obj: dict[str, Any]) -> None:
    stored = judge(obj, {}, strict=False).obj
    if stored is None:
        return
    short = portable({**stored, "status": {"url": "x"}})
    assert judge(short, {}, strict=False).obj == stored
    assert portable(short) == short


@settings(max_examples=60, deadline=None)
@given(odd_objects())
def test_an_export_means_what_was_stored_and_cannot_be_shorter(obj: Any) -> None:
    holds_what_it_means(obj)


@pytest.mark.slow
def test_every_sample_is_exported_as_what_it_means() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the samples of KServe are not beside the repository")
    kinds = {r.kind for r in REGISTRY}
    found = [o for p in sorted(SAMPLES.glob("*.yaml")) for o in yaml.safe_load_all(p.read_text())]
    tried = [o for o in found if isinstance(o, dict) and o.get("kind") in kinds]
    assert len(tried) > 100
    for obj in tried:
        holds_what_it_means(obj)


@pytest.mark.parametrize("mode", ["", "Standard", "Knative", "ModelMesh"])
@pytest.mark.parametrize("namespace", [None, ""])
def test_a_namespace_of_nothing_is_the_default_one(namespace: str | None, mode: str) -> None:
    service = {**SOUND[0], "metadata": {"name": "a", "namespace": namespace}}
    outcome = render_offline([service], mode)
    assert outcome.mistakes == []
    assert {obj["metadata"]["namespace"] for obj in outcome.objects} <= {"default"}
