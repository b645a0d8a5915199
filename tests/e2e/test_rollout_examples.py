"""The examples of canaries, step by step with kubectl, against a Sampan that is up."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "examples"
BY_NUMBER, BY_NAME = [1, 1], ["versicolor", "versicolor"]
"""What the first and the second model say of the two flowers."""


@dataclass
class Example:
    """A folder of an example, followed with kubectl."""

    sampan: Any
    folder: Path
    name: str

    def apply(self, file: str) -> str:
        """Apply a file; kubectl knows no folders, so that theirs are written out."""
        text = (self.folder / file).read_text()
        text = re.sub(r"storageUri: \./", f"storageUri: {self.folder}/", text)
        return str(self.sampan.kubectl("apply", "-f", "-", stdin=text))

    def until(self, true: Callable[[dict[str, Any]], bool], seconds: float = 90) -> dict[str, Any]:
        """Ask kubectl for the service until something is true of its status."""
        deadline, told = time.monotonic() + seconds, {}
        while time.monotonic() < deadline:
            told = json.loads(self.sampan.kubectl("get", "isvc", self.name, "-o", "json"))
            if true(told.get("status") or {}):
                return told
            time.sleep(0.3)
        raise AssertionError(f"after {seconds} s: {json.dumps(told['status'], indent=1)}")

    def until_shares(self, *shares: int) -> dict[str, int]:
        """Wait until the predictor's revisions have these shares, the newest first."""

        def there(status: dict[str, Any]) -> bool:
            return list(shares_of(status).values()) == list(shares) and created(status)

        return shares_of(self.until(there)["status"])

    def ask(self, host: str = "", **headers: str) -> Any:
        """Return what the model says of the example's flowers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.sampan.port}/v1/models/{self.name}:predict",
            data=(self.folder / "request.json").read_bytes(),
            headers={"Host": host or f"{self.name}.default.localhost", **headers},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())["predictions"]

    def asked(self, times: int) -> Counter[str]:
        return Counter(str(self.ask()) for _ in range(times))

    def until_answers(self, *wanted: Any) -> None:
        """Wait until of many answers there are these and no others."""
        deadline = time.monotonic() + 60
        while (found := set(self.asked(40))) != {str(one) for one in wanted}:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    def metrics(self, host: str) -> str:
        url = f"http://127.0.0.1:{self.sampan.port}/metrics"
        request = urllib.request.Request(url, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=30) as response:
            return str(response.read().decode())


def shares_of(status: dict[str, Any]) -> dict[str, int]:
    predictor = (status.get("components") or {}).get("predictor") or {}
    return {t["revisionName"]: t["percent"] for t in predictor.get("traffic") or ()}


def created(status: dict[str, Any]) -> bool:
    predictor = status["components"]["predictor"]
    return bool(predictor.get("latestCreatedRevision") == predictor.get("latestReadyRevision"))


@pytest.fixture
def follow(sampan: Any, tmp_path: Path) -> Callable[[str, str], Example]:
    def follow(folder: str, name: str) -> Example:
        work = tmp_path / folder
        ignored = shutil.ignore_patterns("model", "model-*")
        shutil.copytree(EXAMPLES / folder, work, ignore=ignored)
        subprocess.run([sys.executable, "train.py"], cwd=work, check=True, capture_output=True)
        return Example(sampan, work, name)

    return follow


Follow = Callable[[str, str], Example]


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_a_canary_is_tried_promoted_and_rolled_back(follow: Follow, mode: str) -> None:
    iris = follow("40-canary", "sklearn-iris")
    for file in iris.folder.glob("*.yaml"):
        told = f"metadata:\n  annotations: {{serving.kserve.io/deploymentMode: {mode}}}"
        file.write_text(file.read_text().replace("metadata:", told))
    iris.apply("isvc.yaml")
    first = next(iter(iris.until_shares(100)))
    assert first == "sklearn-iris-predictor-00001"
    iris.sampan.wait_ready("sklearn-iris")
    iris.until_answers(BY_NUMBER)

    iris.apply("canary.yaml")
    shares = iris.until_shares(10, 90)
    assert list(shares) == ["sklearn-iris-predictor-00002", first]
    iris.until_answers(BY_NUMBER, BY_NAME)
    pods = iris.sampan.kubectl("get", "pods", "-o", "name").split()
    assert sum("sklearn-iris-predictor" in pod for pod in pods) == 2
    kept = iris.sampan.kubectl("get", "controllerrevisions", "-o", "name").split()
    assert [name.rpartition("/")[2] for name in kept] == [first, next(iter(shares))]

    iris.apply("promote.yaml")
    assert list(iris.until_shares(100)) == ["sklearn-iris-predictor-00002"]
    iris.until_answers(BY_NAME)

    iris.apply("rollback.yaml")
    assert iris.until_shares(0, 100) == {"sklearn-iris-predictor-00002": 0, first: 100}
    iris.until_answers(BY_NUMBER)
    history = iris.sampan.cli("rollout", "history", "sklearn-iris")
    assert "newest" in history
    assert "rolled out" in history
    iris.sampan.kubectl("delete", "isvc", "sklearn-iris")


def test_a_canary_is_reached_by_its_tags(follow: Follow) -> None:
    tags = follow("41-canary-tags", "sklearn-tags")
    tags.apply("isvc.yaml")
    tags.until_shares(100)
    tags.apply("canary.yaml")
    tags.until_shares(10, 90)
    tags.until_answers(BY_NUMBER, BY_NAME)
    for _ in range(5):
        assert tags.ask(**{"Knative-Serving-Tag": "latest"}) == BY_NAME
        assert tags.ask(Cookie="Knative-Serving-Tag=prev") == BY_NUMBER
        assert tags.ask("latest-sklearn-tags-predictor.default.localhost") == BY_NAME
        assert tags.ask("prev-sklearn-tags-predictor.default.localhost") == BY_NUMBER
    tags.sampan.kubectl("delete", "isvc", "sklearn-tags")


def test_a_list_of_canaries_gives_each_its_share_and_its_tag(follow: Follow) -> None:
    many = follow("41-canary-tags", "sklearn-list")
    many.apply("list.yaml")
    told = many.until(lambda status: any(c["ready"] for c in status.get("canaryStatuses") or ()))
    assert told["status"]["canaryStatuses"][0]["name"] == "v2"
    many.sampan.kubectl(
        "wait", "--for=condition=CanaryPredictorReady", "isvc/sklearn-list", "--timeout=60s"
    )
    many.sampan.wait_ready("sklearn-list")
    many.until_answers(BY_NUMBER, BY_NAME)
    assert many.ask(**{"Knative-Serving-Tag": "v2"}) == BY_NAME
    many.sampan.cli("rollout", "promote", "sklearn-list", "--canary", "v2")
    many.until_answers(BY_NAME)
    many.sampan.cli("rollout", "undo", "sklearn-list", "--to-revision", "1")
    many.until_answers(BY_NUMBER)
    many.sampan.kubectl("delete", "isvc", "sklearn-list")


def test_a_canary_gets_copies_of_requests(follow: Follow) -> None:
    mirror = follow("42-canary-mirror", "sklearn-mirror")
    mirror.apply("isvc.yaml")
    mirror.until_shares(100)
    mirror.apply("mirror.yaml")
    mirror.until_shares(0, 100)
    counter = re.compile(r"^request_predict_seconds_count\{[^}]*\} ([\d.e+]+)$", re.MULTILINE)
    host, seen = "latest-sklearn-mirror-predictor.default.localhost", 0.0
    deadline = time.monotonic() + 60
    while seen < 20:
        assert mirror.ask() == BY_NUMBER
        seen = sum(float(n) for n in counter.findall(mirror.metrics(host)))
        assert time.monotonic() < deadline, mirror.metrics(host)
    mirror.sampan.kubectl("delete", "isvc", "sklearn-mirror")


def test_a_canary_that_is_too_slow_is_rolled_back_by_itself(follow: Follow) -> None:
    guarded = follow("43-canary-rolled-back", "sklearn-guarded")
    guarded.apply("isvc.yaml")
    guarded.until_shares(100)
    guarded.apply("canary.yaml")
    guarded.until_shares(50, 50)
    deadline = time.monotonic() + 90
    while True:
        guarded.asked(20)
        told = json.loads(guarded.sampan.kubectl("get", "isvc", "sklearn-guarded", "-o", "json"))
        if list(shares_of(told["status"]).values()) == [0, 100]:
            break
        assert time.monotonic() < deadline, told["status"]
    conditions = {c["type"]: c for c in told["status"]["conditions"]}
    assert conditions["CanaryPredictorReady"]["reason"] == "CanaryLatencyExceeded"
    events = guarded.sampan.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
    assert "took longer than 0.01 s" in events
    stopped = guarded.sampan.run("rollout", "status", "sklearn-guarded")
    assert stopped.returncode == 1
    assert "was rolled back" in stopped.stderr
    guarded.sampan.cli("rollout", "undo", "sklearn-guarded")
    guarded.until_shares(100)
    guarded.sampan.cli("stop", "sklearn-guarded")
    guarded.until(lambda status: "components" not in status)
    guarded.sampan.cli("start", "sklearn-guarded")
    guarded.until_shares(100)
    guarded.sampan.kubectl("delete", "isvc", "sklearn-guarded")
