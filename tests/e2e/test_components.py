"""A predictor, a transformer and an explainer of one service, as a client meets them."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TRANSFORMER = '''
import argparse
import numpy as np
from kserve import InferInput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput

class Doubler(Model):
    """Takes petals in half centimetres: the model wants centimetres, twice."""

    def preprocess(self, payload, headers=None):
        print("asked by", headers.get("x-request-id"), flush=True)
        if payload["instances"] == "nonsense":
            raise InvalidInput("instances must be rows")
        rows = [[2 * value for value in row] for row in payload["instances"]]
        if self.predictor_config.protocol == "v1":
            return {"instances": rows}
        tensor = InferInput("input-0", [len(rows), 4], "FP64")
        tensor.set_data_from_numpy(np.array(rows, dtype=float), binary_data=False)
        return InferRequest(self.name, [tensor])

    def postprocess(self, result, headers=None):
        if isinstance(result, InferResponse):
            return {"predictions": result.outputs[0].as_numpy().tolist()}
        return result

parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()
model = Doubler(args.model_name)
model.ready = True
ModelServer().start([model])
'''
EXPLAINER = '''
import argparse
from kserve import Model, ModelServer, model_server

class Sensitivity(Model):
    """Tells which of the four numbers, left out, changes what the model says."""

    async def explain(self, payload, headers=None):
        (row,) = payload["instances"]
        rows = [row, *([0.0 if i == j else v for j, v in enumerate(row)] for i in range(4))]
        told = (await self.predict({"instances": rows}, headers))["predictions"]
        return {"explanations": [int(said != told[0]) for said in told[1:]]}

parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()
model = Sensitivity(args.model_name)
model.ready = True
ModelServer().start([model])
'''
HALVES = [[3.4, 1.4, 2.4, 0.7], [2.5, 1.7, 0.7, 0.1]]


def make_service(model: Path, folder: Path, *args: str) -> str:
    def container(name: str) -> dict[str, Any]:
        command = [sys.executable, str(folder / f"{name}.py")]
        own = list(args) if name == "transformer" else []
        return {"containers": [{"name": "c", "image": "x/y", "command": command, "args": own}]}

    return json.dumps(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "iris"},
            "spec": {
                "predictor": {
                    "model": {"modelFormat": {"name": "sklearn"}, "storageUri": str(model)}
                },
                "transformer": container("transformer"),
                "explainer": container("explainer"),
            },
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("components")
    (found / "transformer.py").write_text(TRANSFORMER)
    (found / "explainer.py").write_text(EXPLAINER)
    return found


@pytest.fixture(scope="module")
def served(sampan, iris, folder):
    sampan.up()
    sampan.apply(make_service(iris, folder))
    sampan.wait_ready("iris")
    return sampan


def ask(served, host: str, path: str, body: Any, **headers: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}{path}",
        data=json.dumps(body).encode(),
        headers={"Host": host, "Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def test_the_service_answers_by_its_transformer(served):
    assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})


def test_the_predictor_s_own_host_leads_past_it(served):
    body = {"instances": [[2 * value for value in row] for row in HALVES]}
    path = "/v1/models/iris:predict"
    assert ask(served, "iris-predictor.default.localhost", path, body) == {"predictions": [1, 0]}


def test_explanations_come_from_the_explainer_by_way_of_the_predictor(served):
    status, told = served.predict("iris", {"instances": [[6.8, 2.8, 4.8, 1.4]]},
                                  "/v1/models/iris:explain")  # fmt: skip
    assert status == 200
    assert told["explanations"][2] == 1  # without the petal's length it is another flower


def test_what_preprocess_refuses_is_the_client_s_mistake(served):
    status, told = served.predict("iris", {"instances": "nonsense"})
    assert (status, told) == (400, {"error": "instances must be rows"})


def test_each_component_has_a_condition_a_url_and_a_log(served):
    obj = served.api("/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/iris")
    told = {c["type"]: c["status"] for c in obj["status"]["conditions"]}
    assert [told[f"{c}Ready"] for c in ("Predictor", "Transformer", "Explainer", "Ingress")] == [
        "True"
    ] * 4
    assert set(obj["status"]["components"]) == {"predictor", "transformer", "explainer"}
    ask(served, "iris.default.localhost", "/v1/models/iris:predict", {"instances": HALVES},
        **{"x-request-id": "number-seven"})  # fmt: skip
    assert "asked by number-seven" in served.cli("logs", "iris", "--component", "transformer")
    assert "number-seven" not in served.cli("logs", "iris", "--component", "explainer")
    assert served.run("logs", "iris", "--component", "router").returncode == 2


@pytest.mark.parametrize("protocol", ["v2", "grpc-v2", "v1"])
def test_the_predictor_is_asked_by_the_protocol_of_the_transformer_s_arguments(
    served, iris, folder, protocol
):
    """And the roll from one transformer to the next loses no request."""
    before = {p["metadata"]["name"] for p in pods(served, "predictor")}
    served.apply(make_service(iris, folder, f"--predictor_protocol={protocol}"))

    def rolled(_: Any) -> bool:
        assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})
        commands = [p["spec"]["containers"][0]["command"] for p in pods(served, "transformer")]
        return len(commands) == 1 and f"--predictor_protocol={protocol}" in commands[0]

    served.wait_for("iris", rolled)
    served.wait_ready("iris")
    assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})
    assert {p["metadata"]["name"] for p in pods(served, "predictor")} == before


def pods(served, component: str, name: str = "iris") -> list[dict[str, Any]]:
    selector = f"serving.kserve.io/inferenceservice%3D{name},component%3D{component}"
    found = served.api(f"/api/v1/namespaces/default/pods?labelSelector={selector}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.parametrize("component", ["transformer", "predictor"])
def test_a_component_that_dies_comes_back(served, component):
    served.wait_ready("iris")
    os.kill(process_of(pods(served, component)[0]), signal.SIGKILL)

    def back(told: dict[str, Any]) -> bool:
        (status,) = pods(served, component)[0]["status"]["containerStatuses"]
        return bool(status["restartCount"] and status["ready"] and told["ready"])

    served.wait_for("iris", back)
    assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})


def test_a_transformer_that_cannot_start_is_told_and_the_one_before_goes_on(served, iris, folder):
    broken = json.loads(make_service(iris, folder))
    container = broken["spec"]["transformer"]["containers"][0]
    container["command"] = [sys.executable, "-c", "raise SystemExit('no such mood')"]
    served.apply(json.dumps(broken))
    told = served.wait_for("iris", lambda told: "no such mood" in told["message"])
    assert (told["component"], told["link"], told["ready"]) == ("transformer", "load", True)
    assert "spec.predictor" not in told["mend"]
    said = served.run("why", "iris").stdout
    assert said.index("predictor") < said.index("transformer") < said.index("no such mood")
    assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})
    served.apply(make_service(iris, folder))
    served.wait_for("iris", lambda told: not told["link"])


def process_of(pod: dict[str, Any]) -> int:
    (status,) = pod["status"]["containerStatuses"]
    return int(status["containerID"].removeprefix("process://"))


def test_a_new_daemon_finds_the_components_asking_each_other(served):
    """Killed, so that processes and gateway live on; their ports are taken up again."""
    os.kill(served.daemon["pid"], signal.SIGKILL)
    assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})
    served.up()
    served.wait_ready("iris")
    assert served.predict("iris", {"instances": HALVES}) == (200, {"predictions": [1, 0]})
    assert "asked by" in served.cli("logs", "iris", "--component", "transformer")


def test_a_transformer_that_is_removed_leaves_the_predictor_in_front(served, iris, folder):
    service = json.loads(make_service(iris, folder))
    del service["spec"]["transformer"]
    served.cli("delete", "isvc", "iris")
    served.apply(json.dumps(service))
    served.wait_ready("iris")
    body = {"instances": [[2 * value for value in row] for row in HALVES]}
    assert served.predict("iris", body) == (200, {"predictions": [1, 0]})
    assert pods(served, "transformer") == []


def test_a_transformer_in_the_predictor_s_pod_is_a_process_of_the_same_replica(
    served, iris, folder
):
    """And the replica is started again as a whole when one of its processes dies."""
    service = json.loads(make_service(iris, folder, "--predictor_host=localhost:8085"))
    (container,) = service["spec"].pop("transformer")["containers"]
    del service["spec"]["explainer"]
    container["args"] += ["--model_name=together", "--http_port=8080"]
    container["name"] = "transformer-container"
    service["metadata"]["name"] = "together"
    service["spec"]["predictor"]["containers"] = [container]
    service["spec"]["predictor"]["model"]["args"] = ["--http_port=8085"]
    served.apply(json.dumps(service))
    served.wait_ready("together")
    asked = ("together", {"instances": HALVES})
    assert served.predict(*asked) == (200, {"predictions": [1, 0]})
    (pod,) = pods(served, "predictor", "together")
    children = children_of(process_of(pod))
    assert len(children) == 2
    os.kill(children[1], signal.SIGKILL)

    def back(told: dict[str, Any]) -> bool:
        (found,) = pods(served, "predictor", "together")
        return bool(told["ready"] and found["status"]["containerStatuses"][0]["restartCount"])

    served.wait_for("together", back)
    assert served.predict(*asked) == (200, {"predictions": [1, 0]})
    said = served.cli("logs", "together", "--previous")
    assert 'container "kserve-container" ended with exit code "137"' in said
    served.cli("delete", "isvc", "together")


def children_of(pid: int) -> list[int]:
    """The children of a process, in the order of their start."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_components_that_sleep_wake_each_other(served, iris, folder):
    """A request wakes the transformer, which asks the predictor, which wakes: none is lost."""
    service = json.loads(make_service(iris, folder))
    del service["spec"]["explainer"]
    service["metadata"]["name"] = "sleepy"
    service["metadata"]["annotations"] = {"autoscaling.knative.dev/window": "6s"}
    for component in ("predictor", "transformer"):
        service["spec"][component]["minReplicas"] = 0
    served.apply(json.dumps(service))
    served.wait_ready("sleepy")
    assert served.predict("sleepy", {"instances": HALVES})[0] == 200

    def asleep(told: dict[str, Any]) -> bool:
        return bool(told["ready"]) and not pods(served, "predictor", "sleepy") + pods(
            served, "transformer", "sleepy"
        )

    served.wait_for("sleepy", asleep)
    assert served.predict("sleepy", {"instances": HALVES}) == (200, {"predictions": [1, 0]})
    served.cli("delete", "isvc", "sleepy")
