"""What an activator of a cluster tells of a workload, and hears of the others."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.app.activation_peers import Activity, Peers, decode_activity
from sampan.app.activation_view import describe_wait, make_owner
from sampan.autoscaler.signal import Traffic
from sampan.gateway.table import Endpoint
from sampan.plan.scaling import Scaling
from sampan.platforms.kubernetes.serverless import Terms
from sampan.platforms.kubernetes.serverless_slices import Whereabouts
from sampan.platforms.kubernetes.serverless_table import Served

NOT_AVAILABLE = {
    "type": "Available",
    "status": "False",
    "message": "Deployment does not have minimum availability.",
}
REFUSED = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}


def served(*conditions: dict[str, Any], **metadata: Any) -> Served:
    deployment = {
        "metadata": {"name": "iris-predictor", **metadata},
        "spec": {"replicas": 1},
        "status": {"conditions": list(conditions)},
    }
    return Served("ml", "iris-predictor", Terms(Scaling()), deployment)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        pytest.param([NOT_AVAILABLE], "minimum availability; ", id="in Kubernetes's words"),
        pytest.param([REFUSED], "has 0 ready: exceeded quota; ", id="of pods that are refused"),
        pytest.param([], "has 0 ready; ", id="and without, where it says nothing"),
    ],
)
def test_who_waited_too_long_is_told_what_for(conditions: list[Any], said: str) -> None:
    told = describe_wait(served(*conditions))
    assert told.startswith('Deployment "iris-predictor" asks for 1 and has 0 ready')
    assert said in told
    assert "kubectl describe pods -n ml" in told


def test_an_event_is_about_the_service_that_controls_the_deployment() -> None:
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": "iris",
        "uid": "u",
        "controller": True,
    }
    assert make_owner(served()) is None
    found = make_owner(served(ownerReferences=[owner]))
    assert found is not None
    assert (found["kind"], found["metadata"]) == (
        "InferenceService",
        {"name": "iris", "namespace": "ml", "uid": "u"},
    )


def test_what_an_activator_tells_is_what_the_others_hear() -> None:
    told = Activity(
        "a", True, {"ml/iris": Traffic(2, 40)}, {"ml/iris": 3}, frozenset("x"), frozenset("y")
    )
    assert decode_activity(told.encode()) == told


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"identity": "a"}', b"404 not here"])
def test_what_no_activator_tells_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no activity"):
        decode_activity(body)


class FixedClock:
    def now(self) -> float:
        return 0.0


def test_the_others_count_and_one_that_is_silent_lets_nothing_sleep() -> None:
    peers = Peers(FixedClock(), "me", Whereabouts)  # type: ignore[arg-type]  # it is asked for no more
    own = {"ml/iris": Traffic(1, 10)}
    assert peers.traffic(own) == own
    assert peers.hold("ml/iris")
    other = Activity("other", False, {"ml/iris": Traffic(2, 5)}, {"ml/iris": 4})
    peers._told = {Endpoint("10.0.0.1", 1): other, Endpoint("10.0.0.2", 1): Activity("me")}
    assert peers.traffic(own) == {"ml/iris": Traffic(3, 15)}
    assert peers.waiting("ml/iris") == 4
    assert not peers.hold("ml/iris")
    peers._told = {Endpoint("10.0.0.1", 1): Activity("other", held=frozenset(["ml/iris"]))}
    assert peers.hold("ml/iris")
    peers._silent = {Endpoint("10.0.0.3", 1)}
    assert not peers.hold("ml/iris")
