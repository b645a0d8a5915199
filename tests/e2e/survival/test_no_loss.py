"""Rollouts and scale-downs under clients of all kinds: nothing is lost, nothing answered twice."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .restless import Clients, Noting, restless

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).parent / "sampan"
ISVCS = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
LABEL = "serving.kserve.io/inferenceservice"


def pods(sampan: Any, name: str) -> set[str]:
    items = sampan.api("/api/v1/namespaces/default/pods")["items"]
    return {p["metadata"]["name"] for p in items if p["metadata"]["labels"].get(LABEL) == name}


def is_ready(sampan: Any, name: str) -> bool:
    status = sampan.api(f"{ISVCS}/{name}").get("status") or {}
    conditions = status.get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def roll(sampan: Any, noting: Noting, number: int) -> None:
    """Give the service another template and wait until only replicas of it are there."""
    before = pods(sampan, noting.name)
    sampan.apply(noting.yaml(number))
    wait_until(
        lambda: bool(found := pods(sampan, noting.name)) and not found & before,
        f"rollout {number} of {noting.name}",
    )
    wait_until(lambda: is_ready(sampan, noting.name), f"Ready after rollout {number}")


def check(clients: Clients, noting: Noting) -> None:
    """No request was lost, each was answered once, and each kind of client did its part."""
    assert clients.lost == []
    assert noting.counted() == clients.numbers()
    assert all(clients.answered.values()), {k: len(v) for k, v in clients.answered.items()}


def soak(count: int) -> Any:
    marks = [pytest.mark.soak, pytest.mark.timeout(3600)]
    return pytest.param(count, id=f"{count} times", marks=marks)


TIMES = [pytest.param(2, id="twice"), soak(50)]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_no_client_of_any_kind_loses_a_request_in_rollouts(
    strategy: str, times: int, sampan: Any, tmp_path: Path
) -> None:
    fields = {"deploymentStrategy": {"type": strategy}}
    noting = Noting(f"{strategy.lower()}-{times}", tmp_path, COMMAND, fields)
    sampan.apply(noting.yaml())
    sampan.wait_ready(noting.name)
    with restless(sampan.port, noting.name) as clients:
        for number in range(1, times + 1):
            roll(sampan, noting, number)
    check(clients, noting)
    sampan.cli("delete", "isvc", noting.name)


@pytest.mark.parametrize("times", TIMES)
def test_no_client_of_any_kind_loses_a_request_while_replicas_come_and_go(
    times: int, sampan: Any, make_api: Callable[[Any], Any], tmp_path: Path
) -> None:
    noting = Noting(f"sizes-{times}", tmp_path, COMMAND, {"minReplicas": 1, "maxReplicas": 3})
    sampan.apply(noting.yaml())
    sampan.wait_ready(noting.name)
    api = make_api(sampan)
    with restless(sampan.port, noting.name) as clients:
        for _ in range(times):
            for count in (3, 1):  # two replicas go each time
                body = {"spec": {"predictor": {"minReplicas": count, "maxReplicas": count}}}
                merge = "application/merge-patch+json"
                status, told = api.ask("PATCH", f"{ISVCS}/{noting.name}", body, merge)
                assert status == 200, told
                wait_until(
                    lambda n=count: len(pods(sampan, noting.name)) == n,  # type: ignore[misc]
                    f"{count} replicas",
                )
                wait_until(lambda: is_ready(sampan, noting.name), f"Ready with {count}")
    check(clients, noting)
    sampan.cli("delete", "isvc", noting.name)
