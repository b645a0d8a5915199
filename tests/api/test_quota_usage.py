"""What an object counts against the quotas of its namespace."""

from typing import Any

import pytest

from sampan.api.resourcequota.usage import (
    SERVICES,
    Missing,
    derive_usage,
    is_counted,
    is_counted_by,
    missing_amounts,
    usage_of,
)

Json = dict[str, Any]
STOPPED = {"serving.kserve.io/stop": "true"}


def model(**resources: Json) -> Json:
    return {"model": {"resources": resources}}


def service(predictor: Json, annotations: Json | None = None, **others: Json) -> Json:
    spec = {"predictor": predictor, **others}
    return {"metadata": {"name": "a", "annotations": annotations or {}}, "spec": spec}


def shown(obj: Json, resource: str = SERVICES) -> dict[str, str]:
    return {name: str(amount) for name, amount in usage_of(resource, obj).items()}


ONE = f"count/{SERVICES}"


@pytest.mark.parametrize(
    ("obj", "used"),
    [
        pytest.param(service({"model": {}}), {"pods": "1"}, id="one replica, if nothing is said"),
        pytest.param(
            service({"model": {}, "minReplicas": 2, "maxReplicas": 5}), {"pods": "5"},
            id="as many replicas as it may grow to",
        ),
        pytest.param(
            service({"model": {}, "minReplicas": 0}), {"pods": "0"}, id="none, if it stays asleep"
        ),
        pytest.param(
            service(model(requests={"cpu": "500m"}, limits={"cpu": "1", "nvidia.com/gpu": "1"})),
            {"pods": "1", "cpu": "500m", "requests.cpu": "500m", "limits.cpu": "1",
             "requests.nvidia.com/gpu": "1", "limits.nvidia.com/gpu": "1"},
            id="what its container asks for, and its limits",
        ),
        pytest.param(
            service({**model(limits={"memory": "1Gi"}), "minReplicas": 3}),
            {"pods": "3", "memory": "3Gi", "requests.memory": "3Gi", "limits.memory": "3Gi"},
            id="each replica's, a request being the limit where it is not given",
        ),
        pytest.param(
            service(model(), transformer={"containers": [{"resources": {"requests": {"cpu": 1}}}]}),
            {"pods": "2", "cpu": "1", "requests.cpu": "1"},
            id="all components",
        ),
        pytest.param(
            service(model(requests={"cpu": "much"})), {"pods": "1"},
            id="no amount that cannot be read",
        ),
        pytest.param(service({"model": {}}, STOPPED), {}, id="nothing, while it is stopped"),
    ],
)  # fmt: skip
def test_a_service_uses(obj: Json, used: dict[str, str]) -> None:
    assert shown(obj) == {ONE: "1", **used}


def test_other_objects_count_one_by_one() -> None:
    assert shown({"metadata": {}}, "secrets") == {"count/secrets": "1", "secrets": "1"}
    both = derive_usage("roles.rbac.authorization.k8s.io", [{"metadata": {}}] * 2)
    assert {k: str(v) for k, v in both.items()} == {"count/roles.rbac.authorization.k8s.io": "2"}
    assert derive_usage("secrets", []) == {}


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("pods", True), ("secrets", True), ("cpu", True), ("count/roles", True),
        ("requests.memory", True), ("limits.nvidia.com/gpu", True), ("requests.storage", False),
        ("services.nodeports", False), ("persistentvolumeclaims", False),
    ],
)  # fmt: skip
def test_a_name_of_a_quota_is_counted_or_not(name: str, counted: bool) -> None:
    assert is_counted(name) is counted


def test_who_counts_under_which_name() -> None:
    assert is_counted_by("secrets", "secrets")
    assert is_counted_by("secrets", "count/secrets")
    assert not is_counted_by("configmaps", "secrets")
    assert is_counted_by(SERVICES, "limits.cpu")
    assert not is_counted_by("configmaps", "pods")


def test_a_container_that_says_nothing_of_what_is_limited_is_named_once() -> None:
    silent = service(model(requests={"memory": "1Gi"}), explainer={"containers": [{"name": "e"}]})
    assert missing_amounts(silent, ["cpu", "requests.cpu", "limits.memory", "pods"]) == [
        Missing("cpu", "kserve-container"),
        Missing("cpu", "e"),
        Missing("requests.cpu", "kserve-container"),
        Missing("requests.cpu", "e"),
        Missing("limits.memory", "kserve-container"),
        Missing("limits.memory", "e"),
    ]
