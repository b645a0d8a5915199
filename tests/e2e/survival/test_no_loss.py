"""Rollouts and scale-downs under clients of all kinds: nothing is lost, nothing answered twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .restless import Clients, Lost, Noting, restless

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


OUTAGE_SECONDS = 10.0
"""How long Envoy's death may be felt. It is back within half a second; a gRPC client that was
refused once tries again after a second by itself."""


def envoy_pid(sampan: Any) -> int:
    return int(json.loads((sampan.state / "gateway" / "envoy.json").read_text())["pid"])


def kill(sampan: Any, kind: str) -> None:
    """Kill the daemon (and with it the activator) or Envoy, and have a daemon again."""
    pid = envoy_pid(sampan) if kind == "envoy" else int(sampan.daemon["pid"])
    os.kill(pid, signal.SIGKILL)
    if kind == "daemon":
        time.sleep(random.uniform(0, 0.5))
        sampan.up()


def may_be_of(lost: Lost, death: float) -> bool:
    """Return whether a request was under way, or sent, while Envoy's death was felt."""
    return death < lost.ended and lost.at < death + OUTAGE_SECONDS


def check_but_for(deaths: list[float], clients: Clients, noting: Noting) -> str:
    """Requests were lost only by an Envoy's death; nothing was answered twice."""
    assert [lost for lost in clients.lost if not any(may_be_of(lost, d) for d in deaths)] == []
    counted, answered = noting.counted(), clients.numbers()
    assert [number for number, times in counted.items() if times > 1] == []
    assert answered.keys() - counted.keys() == set()
    felt: dict[str, float] = {}
    for lost in clients.lost:
        death = max(d for d in deaths if may_be_of(lost, d))
        felt[lost.kind] = max(felt.get(lost.kind, 0.0), lost.ended - death)
    last = max(clients.lost, key=lambda lost: lost.ended, default=None)
    return (
        f"{noting.name}: {len(answered)} answers; {len(clients.lost)} lost in {len(deaths)} deaths"
        f" of Envoy, felt for at most (s) { ({kind: round(s, 2) for kind, s in felt.items()}) }"
        f", at last as {last.what if last else 'nothing'}"
    )


@pytest.mark.parametrize("times", [pytest.param(4, id="4 times"), soak(50)])
def test_whatever_is_killed_in_a_rollout_requests_are_lost_only_in_envoys_own_death(
    times: int, make_sampan: Callable[..., Any], tmp_path: Path
) -> None:
    seed = int(os.environ.get("SAMPAN_SEED") or random.randrange(1 << 32))
    random.seed(seed)
    sampan = make_sampan()
    sampan.up()
    services = [
        Noting(kind.lower(), tmp_path, COMMAND, {"deploymentStrategy": {"type": kind}})
        for kind in ("RollingUpdate", "Recreate")
    ]
    for noting in services:
        sampan.apply(noting.yaml())
    for noting in services:
        sampan.wait_ready(noting.name)
    kills: list[tuple[float, str]] = []
    with ExitStack() as stack:
        clients = [stack.enter_context(restless(sampan.port, n.name, each=1)) for n in services]
        for number in range(1, times + 1):
            before = {noting.name: pods(sampan, noting.name) for noting in services}
            for noting in services:
                sampan.apply(noting.yaml(number))
            time.sleep(random.uniform(0, 2))
            kills.append((time.monotonic(), "daemon" if number % 2 else "envoy"))
            kill(sampan, kills[-1][1])
            for name, old in before.items():
                wait_until(
                    lambda n=name, o=old: bool(found := pods(sampan, n)) and not found & o,  # type: ignore[misc]
                    f"rollout {number} of {name}",
                    90,
                )
                wait_until(lambda n=name: is_ready(sampan, n), f"{name} Ready", 90)  # type: ignore[misc]
    deaths = [when for when, kind in kills if kind == "envoy"]
    told = [check_but_for(deaths, c, n) for c, n in zip(clients, services, strict=True)]
    sys.stdout.write("\n".join([f"SAMPAN_SEED={seed}", *told, ""]))
