"""Each rule of InferenceService where it is met less often: other components, other fields."""

from __future__ import annotations

from typing import Any

import pytest

CLASS = "serving.kserve.io/autoscalerClass"
HPA, KEDA, NONE = {CLASS: "hpa"}, {CLASS: "keda"}, {CLASS: "none"}
MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "file:///models/iris"}
NODES = {"modelFormat": {"name": "huggingface"}, "storageUri": "pvc://claim/model"}
CONTAINER = {"name": "kserve-container", "image": "example.com/image"}
PYTHONPATH = [{"name": "PYTHONPATH", "value": "/tmp"}]
INVALID = 'the InferenceService "iris" is invalid: '
BLOCKED = INVALID + 'setting PYTHONPATH in container "{}" is not allowed for security reasons'
UNKNOWN_GPU = (
    INVALID + "Unknown GPU resource type. Set 'serving.kserve.io/gpu-resource-types' annotation to "
    "use custom gpu resource type"
)


def test_knatives_own_autoscaler_of_the_processor_follows_the_rules_of_hpa(
    admit: Any, service: Any
) -> None:
    obj = service({"model": MODEL, "scaleMetric": "rps"}, "Knative")
    obj["metadata"]["annotations"]["autoscaling.knative.dev/class"] = "hpa.autoscaling.knative.dev"
    assert admit(obj).denied == "[rps] is not a supported metric"


@pytest.mark.parametrize("scaler", ["external", "none", None])
def test_other_autoscalers_of_standard_mode_are_asked_nothing(
    admit: Any, service: Any, scaler: str | None
) -> None:
    obj = service({"model": MODEL, "scaleMetric": "rps", "scaleTarget": 0})
    obj["metadata"]["annotations"] |= {CLASS: scaler} if scaler else {}
    assert admit(obj).denied == ""


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        ("uri", "", "should be at least 1 chars long"),
        ("mountPath", "mnt/models", "should match '^/.*'"),
    ],
    ids=["no URI", "a relative path"],
)
def test_what_the_schema_of_several_uris_refuses(
    admit: Any, service: Any, place: str, value: str, text: str
) -> None:
    uri = {"uri": "s3://b/m", "mountPath": "/mnt/models/a", place: value}
    model = {"modelFormat": {"name": "sklearn"}}
    error = admit(service({"model": model, "storageUris": [uri]})).errors[0]
    assert error.path == f"spec.predictor.storageUris[0].{place}"
    assert error.message.endswith(text)
