"""No request is lost while a service changes: not by a rollout, nor by scaling, nor by what follows
a delete.
"""

from __future__ import annotations

import http.client
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def served(sampan: Any, isvc: Callable[..., str], iris: Path) -> Any:
    """A Sampan with the service "iris", Ready."""
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    return sampan


def pods(sampan: Any) -> set[str]:
    told = sampan.cli("get", "pods", "-o", "name")
    return {line for line in told.split() if "iris-predictor" in line}


def patch(api: Any, predictor: dict[str, Any]) -> None:
    status, told = api.ask("PATCH", f"{SERVICES}/iris", {"spec": {"predictor": predictor}}, MERGE)
    assert status == 200, told


def settled(sampan: Any, replicas: int, without: set[str] | None = None) -> bool:
    found = pods(sampan)
    return len(found) == replicas and not found & (without or set())


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "change",
    [
        "another storageUri",
        "other resources",
        "another variable",
        "the same change twice in a row",
        "from one replica to three and back",
    ],
)
def test_eight_clients_lose_no_request_during(
    change: str,
    served: Any,
    make_api: Callable[[Any], Any],
    load: Callable[..., AbstractContextManager[Any]],
    iris: Path,
    tmp_path: Path,
) -> None:
    api, before = make_api(served), pods(served)
    with load(served.port, "iris") as sent:
        time.sleep(0.3)
        if change == "another storageUri":
            shutil.copytree(iris, tmp_path / "copy")
            patch(api, {"model": {"storageUri": str(tmp_path / "copy")}})
            wait_until(lambda: settled(served, 1, before), 30)
        elif change == "other resources":
            patch(api, {"model": {"resources": {"requests": {"cpu": "150m"}}}})
            wait_until(lambda: settled(served, 1, before), 30)
        elif change == "another variable":
            patch(api, {"model": {"env": [{"name": "COLOUR", "value": "green"}]}})
            wait_until(lambda: settled(served, 1, before), 30)
        elif change == "the same change twice in a row":
            patch(api, {"model": {"env": [{"name": "COLOUR", "value": "red"}]}})
            time.sleep(0.2)
            patch(api, {"model": {"env": [{"name": "COLOUR", "value": "blue"}]}})
            wait_until(lambda: settled(served, 1, before), 30)
        else:
            patch(api, {"minReplicas": 3, "maxReplicas": 3})
            wait_until(lambda: settled(served, 3), 30)
            time.sleep(0.5)
            patch(api, {"minReplicas": 1, "maxReplicas": 1})
            wait_until(lambda: settled(served, 1), 30)
        time.sleep(0.3)
    assert sent.failures == []
    assert sent.answers > 50


def test_a_change_that_never_becomes_ready_leaves_the_old_replica_answering(
    served: Any,
    make_api: Callable[[Any], Any],
    load: Callable[..., AbstractContextManager[Any]],
    iris: Path,
    tmp_path: Path,
) -> None:
    api = make_api(served)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.joblib").write_bytes(b"not a model")
    with load(served.port, "iris") as sent:
        patch(api, {"model": {"storageUri": str(tmp_path / "broken")}})
        served.wait_for("iris", lambda told: bool(told["lastLines"] or told["mend"]), 30)
        time.sleep(1.0)
        patch(api, {"model": {"storageUri": str(iris)}})
        served.wait_ready("iris", 30)
    assert sent.failures == []


def test_a_delete_under_requests_lets_none_hang(
    sampan: Any,
    isvc: Callable[..., str],
    iris: Path,
    load: Callable[..., AbstractContextManager[Any]],
) -> None:
    sampan.apply(isvc("gone", iris))
    sampan.wait_ready("gone")
    with load(sampan.port, "gone") as sent:
        time.sleep(0.3)
        sampan.cli("delete", "isvc", "gone")
        time.sleep(0.5)
    # An answer, then 404: what was under way is finished, and nobody waits for a timeout.
    assert {text.split(":")[1].strip() for _, text in sent.failures} == {"404"}
    assert sent.slowest < 5
    assert sent.answers > 0


def test_requests_under_way_are_finished_before_a_replica_goes(
    served: Any, make_api: Callable[[Any], Any]
) -> None:
    """A request whose body is still on its way when the rollout begins gets its answer."""
    before = pods(served)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    body = b'{"instances": [[6.8, 2.8, 4.8, 1.4]]}'
    connection.putrequest("POST", "/serving/default/iris/v1/models/iris:predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    patch(make_api(served), {"model": {"env": [{"name": "COLOUR", "value": "slow"}]}})
    wait = threading.Event()
    wait.wait(1.5)
    connection.send(body[10:])
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b'{"predictions":[1]}')
    connection.close()
    wait_until(lambda: settled(served, 1, before), 40)
