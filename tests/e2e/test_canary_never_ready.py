"""A canary that never gets ready, through kubectl: it gets no traffic, and stable keeps serving."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BODY = {"instances": [[6.8, 2.8, 4.8, 1.4]]}
RIGHT = (200, {"predictions": [1]})
ISVC = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  annotations:
    serving.kserve.io/deploymentMode: {mode}
    serving.kserve.io/enable-tag-routing: "true"
    autoscaling.knative.dev/window: 6s
spec:
  predictor:
    minReplicas: {least}
    timeout: 5
    {share}
    model:
      modelFormat: {{name: sklearn}}
      storageUri: {uri}
"""
CANARIES = """
  canary:
    - trafficPercent: 20
      predictor:
        name: v2
        minReplicas: 0
        model:
          modelFormat: {{name: sklearn}}
          storageUri: {uri}
"""
NOT_BEFORE = re.compile(r"restarted not before (\S+):")


class Service:
    """A service, applied and looked at with kubectl."""

    def __init__(self, sampan: Any, name: str, **fields: Any) -> None:
        self.sampan = sampan
        self.name = name
        self.fields = {"mode": "Knative", "least": 1, **fields}

    def apply(self, uri: Path, share: str = "", canaries: str = "") -> None:
        text = ISVC.format(name=self.name, uri=uri, share=share, **self.fields) + canaries
        self.sampan.kubectl("apply", "-f", "-", stdin=text)

    def get(self, *what: str) -> Any:
        return json.loads(self.sampan.kubectl("get", *what, "-o", "json"))

    @property
    def predictor(self) -> dict[str, Any]:
        status = self.get("isvc", self.name)["status"]
        return dict(status["components"]["predictor"])

    @property
    def shares(self) -> list[tuple[str, int]]:
        """The shares: the number of the revision, and its percent."""
        told = self.predictor.get("traffic") or ()
        return [(t["revisionName"].rpartition("-")[2], t["percent"]) for t in told]

    def condition(self, name: str) -> dict[str, Any]:
        conditions = self.get("isvc", self.name)["status"]["conditions"]
        return next((c for c in conditions if c["type"] == name), {})

    def ask(self, tag: str = "") -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Host": f"{self.name}.default.localhost"}
        headers |= {"Knative-Serving-Tag": tag} if tag else {}
        url = f"http://127.0.0.1:{self.sampan.port}/v1/models/{self.name}:predict"
        request = urllib.request.Request(url, json.dumps(BODY).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def until(self, true: Callable[[], bool], what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.3)

    def until_crashes(self, count: int) -> list[datetime]:
        """Return until when each restart of a replica was put off; the stable one answers on."""
        seen: set[datetime] = set()
        label = f"serving.kserve.io/inferenceservice={self.name}"

        def are_told() -> bool:
            text = json.dumps(self.get("pods", "-l", label))
            seen.update(map(datetime.fromisoformat, NOT_BEFORE.findall(text)))
            assert self.ask() == RIGHT
            return len(seen) == count

        self.until(are_told, f"{count} crashes in a row", 180)
        return sorted(seen)

    def until_failed(self, condition: str, reason: str) -> None:
        self.until(lambda: self.condition(condition).get("reason") == reason, reason)


@pytest.fixture
def broken(iris: Path, tmp_path: Path) -> Path:
    """A folder with a model that cannot be read."""
    folder = tmp_path / "broken"
    shutil.copytree(iris, folder)
    (folder / "model.joblib").write_bytes(b"this is no model")
    return folder


@pytest.mark.parametrize("least", [1, 0])
def test_a_canary_that_never_gets_ready_gets_no_request_and_its_back_off_grows(
    sampan: Any, iris: Path, broken: Path, least: int
) -> None:
    service = Service(sampan, f"never-{least}", least=least)
    service.apply(iris)
    sampan.wait_ready(service.name)
    service.apply(broken, "canaryTrafficPercent: 20")
    service.until_failed("PredictorReady", "ModelCorrupt")
    told = service.predictor
    assert told["latestCreatedRevision"] == f"{service.name}-predictor-00002"
    assert told["latestReadyRevision"] == f"{service.name}-predictor-00001"
    assert {number for number, _ in service.shares} == {"00001"}
    assert [service.ask() for _ in range(40)] == [RIGHT] * 40
    # The latest is the latest that is ready, as Knative has it.
    assert [service.ask(tag) for tag in ("latest", "prev")] == [RIGHT] * 2
    if least:  # one that sleeps is no longer tried once nobody asks
        first, second, third = service.until_crashes(3)
        assert third - second > second - first
    service.apply(iris, "canaryTrafficPercent: 20")  # mended, it has its share
    service.until(lambda: service.shares[0] == ("00003", 20), "a share of the mended canary")
    sampan.kubectl("delete", "isvc", service.name)


def test_a_canary_of_a_list_that_never_gets_ready_is_refused_by_its_tag_alone(
    sampan: Any, iris: Path, broken: Path
) -> None:
    service = Service(sampan, "listed", mode="Standard")
    service.apply(iris, canaries=CANARIES.format(uri=broken))
    sampan.wait_ready(service.name)
    service.until_failed("CanaryPredictorReady", "CanariesNotReady")
    assert [service.ask() for _ in range(40)] == [RIGHT] * 40
    status, told = service.ask("v2")
    assert (status, "no endpoint" in told["error"]) == (503, True), told
    assert service.condition("Ready")["status"] == "True"
    service.apply(iris, canaries=CANARIES.format(uri=iris))  # mended, it answers
    service.until(lambda: service.ask("v2") == RIGHT, "an answer of the mended canary")
    sampan.kubectl("delete", "isvc", service.name)


def test_who_waits_for_a_canary_that_does_not_wake_gets_504_and_the_conditions_message(
    sampan: Any, iris: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    shutil.copytree(iris, canary)
    service = Service(sampan, "asleep", least=0)
    service.apply(iris)
    sampan.wait_ready(service.name)
    service.apply(canary, "canaryTrafficPercent: 20")
    service.until(lambda: service.shares == [("00002", 20), ("00001", 80)], "the shares")
    label = f"serving.kserve.io/inferenceservice={service.name}"
    service.until(lambda: not service.get("pods", "-l", label)["items"], "asleep")
    (canary / "model.joblib").write_bytes(b"this is no model")
    status, told = service.ask("latest")
    late = '"default/asleep-predictor-00002" was not up within 5 s: load: ModelCorrupt: '
    assert (status, told["error"].startswith(late)) == (504, True), told
    message = service.condition("PredictorReady")["message"]
    assert message.removeprefix("load: ") in told["error"]
    assert [service.ask("prev") for _ in range(10)] == [RIGHT] * 10
    sampan.kubectl("delete", "isvc", service.name)
