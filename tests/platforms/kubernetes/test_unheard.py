"""How long a status waits for word of what was just made."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.machinery.timestamps import rfc3339
from sampan.platforms.kubernetes.kinds import AUTOSCALERS, DEPLOYMENTS, HTTP_ROUTES, SERVICES
from sampan.platforms.kubernetes.status.unheard import MOST_SECONDS, wait_for_word

NOW = 1_800_000_000.0


def made(kind: Any, age: float, **status: Any) -> dict[str, Any]:
    head = {"apiVersion": kind.api_version, "kind": kind.kind}
    metadata = {"name": "iris", "creationTimestamp": rfc3339(NOW - age)}
    return {**head, "metadata": metadata, **({"status": status} if status else {})}


@pytest.mark.parametrize(
    ("children", "left"),
    [
        pytest.param([], 0.0, id="nothing was made"),
        pytest.param([made(DEPLOYMENTS, 0)], MOST_SECONDS, id="a Deployment of which nobody spoke"),
        pytest.param([made(DEPLOYMENTS, 1)], MOST_SECONDS - 1, id="for a second"),
        pytest.param([made(DEPLOYMENTS, 2)], 0.0, id="for too long"),
        pytest.param([made(DEPLOYMENTS, 0, replicas=1)], 0.0, id="one that was told of"),
        pytest.param(
            [made(DEPLOYMENTS, 9, replicas=1), made(HTTP_ROUTES, 1)], MOST_SECONDS - 1,
            id="a route that came later",
        ),
        pytest.param(
            [made(SERVICES, 0), made(AUTOSCALERS, 0)], 0.0,
            id="what the service's status is not made of",
        ),
        pytest.param([made(DEPLOYMENTS, -30)], 0.0, id="a clock that is late"),
        pytest.param([made(DEPLOYMENTS, 30)], 0.0, id="a clock that is ahead"),
    ],
)  # fmt: skip
def test_a_status_waits(children: list[dict[str, Any]], left: float) -> None:
    end = wait_for_word(children, NOW)
    assert (end - NOW if end else 0.0) == left
