"""ModelMesh mode: many services, few processes, a bound; by kubectl, and processes are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sampan.client.grpc import InferenceGRPCClient
from sampan.mesh.documents import UNIT_BYTES
from sampan.protocol.tensors import InferInput, InferRequest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MANY, HELD = 20, 5
BUFFER = 128 * 1024**2

RUNTIME = f"""
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {{name: mlserver-1.x}}
spec:
  supportedModelFormats:
    - {{name: sklearn, version: "1", autoSelect: true}}
    - {{name: xgboost, version: "2", autoSelect: true}}
  protocolVersions: [grpc-v2]
  multiModel: true
  grpcEndpoint: port:8085
  grpcDataEndpoint: port:8001
  containers:
    - name: mlserver
      image: seldonio/mlserver:1.7.1
      resources: {{requests: {{memory: "{BUFFER + HELD * UNIT_BYTES}"}}}}
  builtInAdapter: {{serverType: mlserver, memBufferBytes: {BUFFER}}}
"""
ISVC = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  annotations: {{serving.kserve.io/deploymentMode: ModelMesh}}
spec:
  predictor:
    model:
      modelFormat: {{name: {format}}}
      storageUri: {uri}
---
"""


def train(folder: Path, number: int) -> str:
    """Save a model that answers with a number, of one framework or the other; return its format."""
    import joblib
    import numpy as np

    folder.mkdir()
    rows, answers = np.array([[0.0], [1.0]]), np.array([float(number)] * 2)
    if number % 4:
        from sklearn.linear_model import LinearRegression

        joblib.dump(LinearRegression().fit(rows, answers), folder / "model.joblib")
        return "sklearn"
    import xgboost

    parameters = {"base_score": float(number), "objective": "reg:squarederror", "nthread": 1}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, answers), 1)
    booster.save_model(folder / "model.json")
    return "xgboost"


@dataclass
class Mesh:
    """A Sampan with many small models in one process."""

    sampan: Any
    folder: Path
    numbers: dict[str, int] = field(default_factory=dict)

    def manifest(self, name: str, number: int) -> str:
        place = self.folder / f"{name}-{number}"
        found = "sklearn" if number % 4 else "xgboost"
        if not place.exists():
            found = train(place, number)
        return ISVC.format(name=name, format=found, uri=place)

    def apply(self, name: str, number: int) -> None:
        self.sampan.kubectl("apply", "-f", "-", stdin=self.manifest(name, number))
        self.numbers[name] = number

    def ask(self, name: str) -> tuple[int, Any]:
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [0.5]}
        path = f"/v2/models/{name}/infer"
        status, body = self.sampan.predict(name, {"inputs": [tensor]}, path)
        return status, round(body["outputs"][0]["data"][0]) if status == 200 else body

    def wait_answers(self, name: str, seconds: float = 60) -> None:
        """Ask until a model answers with its number."""
        until(lambda: self.ask(name) == (200, self.numbers[name]), seconds)

    def status(self, name: str) -> dict[str, Any]:
        found = json.loads(self.sampan.kubectl("get", "isvc", name, "-o", "json"))
        status: dict[str, Any] = found["status"]
        return status

    @property
    def reports(self) -> Path:
        return self.sampan.state / "modelmesh" / "default" / "mlserver-1.x.modelmesh" / "reports"

    def pid(self) -> int:
        """Return the process that holds the models."""
        (alive,) = self.pids()
        return alive

    def pids(self) -> list[int]:
        """Return the processes that report and are there."""
        told = [int(path.stem) for path in self.reports.glob("*.json")]
        return [pid for pid in told if Path(f"/proc/{pid}").exists()]

    def metrics(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.sampan.port}/serving/default/{next(iter(self.numbers))}/metrics"
        with urllib.request.urlopen(url, timeout=30) as response:
            lines = response.read().decode().splitlines()
        told = (line.rpartition(" ") for line in lines if line.startswith("modelmesh_"))
        return {name: float(value) for name, _, value in told}


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def mesh(sampan: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Twenty services are Ready in one process that holds five models."""
    made = Mesh(sampan, tmp_path_factory.mktemp("models"))
    sampan.kubectl("apply", "-f", "-", stdin=RUNTIME)
    made.numbers = {f"m{n}": n for n in range(1, MANY + 1)}
    text = "".join(made.manifest(name, number) for name, number in made.numbers.items())
    sampan.kubectl("apply", "-f", "-", stdin=text)
    sampan.kubectl("wait", "isvc", *made.numbers, "--for", "condition=Ready", "--timeout", "110s")
    yield made
    sampan.kubectl("delete", "isvc", "--all", "--timeout", "100s")
    until(lambda: not made.pids())


def test_twenty_models_answer_from_a_process_that_holds_five(mesh: Mesh) -> None:
    names = [name for name in mesh.numbers for _ in range(2)]
    random.Random(6).shuffle(names)
    assert {name: mesh.ask(name) for name in names} == {
        n: (200, v) for n, v in mesh.numbers.items()
    }
    told = mesh.metrics()
    assert told["modelmesh_models_managed_total"] == MANY
    assert told["modelmesh_instance_models_total"] == HELD
    assert told["modelmesh_instance_used_bytes"] <= told["modelmesh_instance_capacity_bytes"]
    assert told["modelmesh_evictions_total"] >= MANY - HELD
    pods = json.loads(mesh.sampan.kubectl("get", "pods", "-o", "json"))["items"]
    assert [p["metadata"]["name"].rpartition("-")[2] for p in pods] == ["0"]
    assert "listening on" in mesh.sampan.cli("logs", "m1")
    (load,) = (one for one in mesh.sampan.why("m1")["links"] if one["name"] == "load")
    assert f"{HELD} of {MANY} models hold" in load["message"]


def test_what_is_not_in_memory_is_standby_and_ready(mesh: Mesh) -> None:
    def states() -> list[str]:
        found = [mesh.status(name)["modelStatus"] for name in mesh.numbers]
        assert {one["transitionStatus"] for one in found} == {"UpToDate"}
        return [one["states"]["activeModelState"] for one in found]

    until(lambda: sorted(states()) == ["Loaded"] * HELD + ["Standby"] * (MANY - HELD))
    urls = mesh.status("m3")["components"]["predictor"]
    assert urls["grpcUrl"] == f"grpc://m3.default.localhost:{mesh.sampan.port}"
    assert urls["restUrl"] == f"http://m3.default.localhost:{mesh.sampan.port}"


@pytest.mark.parametrize("named", ["message", "metadata"])
async def test_the_shared_address_leads_to_each_model_over_grpc(mesh: Mesh, named: str) -> None:
    authority = ("grpc.default_authority", "modelmesh-serving.default.localhost")
    address = f"127.0.0.1:{mesh.sampan.port}"
    async with InferenceGRPCClient(address, channel_args=[authority], retries=0) as client:
        for name, number in mesh.numbers.items():
            given = InferInput("x", [1, 1], "FP64", [0.5])
            asked = InferRequest(name if named == "message" else "-", [given])
            headers = (("mm-vmodel-id", name),) if named == "metadata" else None
            answer = await client.infer(asked, headers=headers)
            assert round(answer.outputs[0].data[0]) == number
            assert answer.model_name.startswith(f"{name}__isvc-")


def test_a_model_that_does_not_load_says_why_and_disturbs_nobody(mesh: Mesh) -> None:
    broken = mesh.folder / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "model.joblib").write_bytes(b"junk")
    mesh.sampan.kubectl(
        "apply", "-f", "-", stdin=ISVC.format(name="broken", format="sklearn", uri=broken)
    )
    until(lambda: "lastFailureInfo" in mesh.status("broken").get("modelStatus", {}))
    status = mesh.status("broken")
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "ModelLoadFailed"
    assert "cannot be read as a pickle" in status["modelStatus"]["lastFailureInfo"]["message"]
    told = mesh.sampan.why("broken")
    assert (told["ready"], told["link"], told["reason"]) == (False, "load", "ModelLoadFailed")
    code, body = mesh.ask("broken")
    assert (code, "cannot be read as a pickle" in body["error"]) == (503, True)
    assert mesh.ask("m1") == (200, 1)
    mesh.sampan.kubectl("delete", "isvc", "broken", "--timeout", "60s")
    assert mesh.ask("broken")[0] == 404


def test_a_new_model_takes_over_without_a_lost_request(mesh: Mesh) -> None:
    mesh.apply("changing", 21)
    mesh.wait_answers("changing")
    answers: list[tuple[int, Any]] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            answers.append(mesh.ask("changing"))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        mesh.apply("changing", 22)
        until(lambda: (200, 22) in answers)
    finally:
        over.set()
        asking.join()
    numbers = [number for _, number in answers]
    assert {code for code, _ in answers} == {200}
    assert numbers == sorted(numbers), "the old model never answers after the new one"
    until(lambda: mesh.status("changing")["modelStatus"]["transitionStatus"] == "UpToDate")


def test_a_new_model_that_does_not_load_leaves_the_old_one(mesh: Mesh) -> None:
    mesh.apply("kept", 23)
    mesh.wait_answers("kept")
    mesh.sampan.kubectl(
        "apply", "-f", "-",
        stdin=ISVC.format(name="kept", format="sklearn", uri=mesh.folder / "nothing-here"),
    )  # fmt: skip
    blocked = lambda: mesh.status("kept")["modelStatus"]["transitionStatus"]  # noqa: E731 # one use
    until(lambda: blocked() == "BlockedByFailedLoad")
    status = mesh.status("kept")
    assert status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
    assert mesh.ask("kept") == (200, 23)
    mesh.apply("kept", 23)
    until(lambda: blocked() == "UpToDate")


def test_modes_stand_side_by_side_and_a_service_keeps_its_own(
    mesh: Mesh, iris: Path, isvc: Callable[..., str]
) -> None:
    mesh.sampan.apply(isvc("alone", iris))
    mesh.sampan.wait_ready("alone")
    assert mesh.sampan.predict("alone", {"instances": [[6.8, 2.8, 4.8, 1.4]]})[1] == {
        "predictions": [1]
    }
    mode = "serving.kserve.io/deploymentMode=Standard"
    said = mesh.sampan.kubectl("annotate", "isvc", "m2", mode, "--overwrite", check=False)
    assert "deploymentMode" in said
    assert mesh.ask("m2") == (200, 2)
    mesh.sampan.kubectl("delete", "isvc", "alone", "--timeout", "60s")


def test_a_stopped_service_lets_go_of_its_model_and_comes_back(mesh: Mesh) -> None:
    mesh.apply("resting", 25)
    mesh.wait_answers("resting")
    stop = "serving.kserve.io/stop"
    mesh.sampan.kubectl("annotate", "isvc", "resting", f"{stop}=true")
    until(lambda: mesh.ask("resting")[0] == 404)
    mesh.sampan.kubectl("annotate", "isvc", "resting", f"{stop}-")
    mesh.wait_answers("resting")


def test_a_killed_process_comes_back_with_every_model(mesh: Mesh) -> None:
    before = mesh.pid()
    os.kill(before, signal.SIGKILL)
    for name in mesh.numbers:
        mesh.wait_answers(name)
    assert mesh.pid() != before


def test_a_killed_daemon_stops_no_model(mesh: Mesh) -> None:
    process = mesh.pid()
    os.kill(mesh.sampan.daemon["pid"], signal.SIGKILL)
    assert {name: mesh.ask(name) for name in mesh.numbers} == {
        name: (200, number) for name, number in mesh.numbers.items()
    }
    mesh.sampan.up()
    names = list(mesh.numbers)
    mesh.sampan.kubectl("wait", "isvc", *names, "--for", "condition=Ready", "--timeout", "60s")
    assert mesh.pid() == process
    mesh.apply("late", 26)
    mesh.wait_answers("late")
