"""A Sampan in which samples of KServe run as they are: each in a namespace of its own."""

from __future__ import annotations

import copy
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml
from tests.e2e.conftest import Sampan, processes_of
from tritonclient.grpc import service_pb2 as wire

SHARED = Path(__file__).parents[3] / "shared"
GROUP = "/apis/serving.kserve.io/v1beta1"
NOT_INSTALLED = ("kserve-openvino",)
"""A file of KServe's that no installation of it applies."""
INFER = "/inference.GRPCInferenceService/ModelInfer"


def read(kind: str, pattern: str) -> dict[str, dict[str, Any]]:
    """Return the objects of KServe's beside this repository, by the name of their file."""
    paths = sorted((SHARED / kind).glob(pattern))
    return {path.stem: yaml.safe_load(path.read_text()) for path in paths}


def sample(name: str) -> dict[str, Any]:
    """Return a sample's InferenceService as it is."""
    service: dict[str, Any] = yaml.safe_load(path_of(name).read_text())
    return service


def path_of(name: str) -> Path:
    """Return the file of a sample's InferenceService."""
    return SHARED / "samples" / f"inferenceservice-{name}.yaml"


def object_of(name: str) -> dict[str, Any]:
    """Return the object of a shipped runtime, or of a sample by the beginning of its name."""
    (found,) = [
        *(SHARED / "upstream").glob(f"{name}.yaml"), *(SHARED / "samples").glob(f"{name}-*.yaml")
    ]  # fmt: skip
    made: dict[str, Any] = yaml.safe_load(found.read_text())
    return made


def place_model(service: dict[str, Any], uri: str) -> dict[str, Any]:
    """Return the same service with another place of its predictor's model, and nothing else."""
    made = copy.deepcopy(service)
    predictor = made["spec"]["predictor"]
    (model,) = [
        part
        for part in predictor.values()
        if isinstance(part, dict) and {"storageUri", "storage"} & part.keys()
    ]
    model.pop("storage", None)  # a key of a Secret, and a path in a bucket
    model["storageUri"] = uri
    return made


@dataclass(frozen=True)
class Service:
    """A service that was applied, in its namespace."""

    sampan: Sampan
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return f"{GROUP}/namespaces/{self.namespace}/inferenceservices/{self.name}"

    def conditions(self) -> dict[str, dict[str, str]]:
        """Return the conditions of its status by type."""
        status = self.sampan.api(self.path).get("status") or {}
        return {each["type"]: each for each in status.get("conditions", ())}

    def wait(self, true: Callable[[dict[str, dict[str, str]]], bool], seconds: float) -> None:
        """Wait until something is true of its conditions; fail with the last ones."""
        deadline = time.monotonic() + seconds
        while not true(found := self.conditions()):
            assert time.monotonic() < deadline, json.dumps(found, indent=2)
            time.sleep(0.1)

    def wait_ready(self, seconds: float = 240) -> None:
        """Wait until requests pass."""
        self.wait(lambda found: found.get("Ready", {}).get("status") == "True", seconds)

    def wait_told(self, words: str, seconds: float = 240) -> None:
        """Wait until a condition that is not met says these words."""
        self.wait(lambda found: words in told_of(found), seconds)

    def ask(self, path: str, body: Any) -> Any:
        """Return what it answers over REST, at the path of its service."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.sampan.port}/serving/{self.namespace}/{self.name}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.code} {error.read()!r}") from None

    def ask_grpc(self, model: str, rows: list[list[float]]) -> list[list[Any]]:
        """Return the values of each output over gRPC, asked by Triton's own messages."""
        request = wire.ModelInferRequest(model_name=model)
        flat = [float(value) for row in rows for value in row]
        tensor = request.inputs.add(
            name="input-0", datatype="FP32", shape=[len(rows), len(rows[0])]
        )
        tensor.contents.fp32_contents.extend(flat)
        options = [("grpc.default_authority", f"{self.name}.{self.namespace}.localhost")]
        with grpc.insecure_channel(f"127.0.0.1:{self.sampan.port}", options) as channel:
            sent = channel.unary_unary(INFER)(request.SerializeToString(), timeout=120)
        answer = wire.ModelInferResponse.FromString(sent)
        return [values_of(output.contents) for output in answer.outputs]

    def annotate(self, **annotations: str) -> None:
        """Set annotations of Sampan's, as its mends ask for."""
        named = {f"serving.sampan.dev/{name}": value for name, value in annotations.items()}
        send(self.sampan, "PATCH", self.path, {"metadata": {"annotations": named}})

    def delete(self) -> None:
        """Delete it, and do not wait."""
        send(self.sampan, "DELETE", self.path)


class TrainedModel(Service):
    """A model that was applied beside its service."""

    @property
    def path(self) -> str:
        group = GROUP.replace("v1beta1", "v1alpha1")
        return f"{group}/namespaces/{self.namespace}/trainedmodels/{self.name}"


def values_of(contents: Any) -> list[Any]:
    """Return what a tensor of a message holds, whatever its datatype."""
    ((_, values),) = contents.ListFields()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def told_of(conditions: dict[str, dict[str, str]]) -> str:
    """Return what the conditions that are not met say: reasons and messages."""
    return "\n".join(
        f"{each.get('reason', '')} {each.get('message', '')}"
        for each in conditions.values()
        if each["status"] != "True"
    )


def apply(sampan: Sampan, service: dict[str, Any], namespace: str) -> Service:
    """Create a service as it is in a namespace, which is made for it."""
    send(sampan, "POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    kept = {**service, "metadata": {**service["metadata"], "namespace": namespace}}
    send(sampan, "POST", f"{GROUP}/namespaces/{namespace}/inferenceservices", kept)
    return Service(sampan, namespace, service["metadata"]["name"])


def add_model(sampan: Sampan, model: dict[str, Any], namespace: str) -> TrainedModel:
    """Create a TrainedModel as it is in a namespace that is there."""
    made = TrainedModel(sampan, namespace, model["metadata"]["name"])
    kept = {**model, "metadata": {**model["metadata"], "namespace": namespace}}
    send(sampan, "POST", made.path.rpartition("/")[0], kept)
    return made


def send(sampan: Sampan, method: str, path: str, body: Any = None) -> Any:
    """Ask the API server, and return its answer; an AssertionError with its words where it will
    not.
    """
    daemon = sampan.daemon
    request = urllib.request.Request(
        f"http://{daemon['host']}:{daemon['port']}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {daemon['token']}",
            "Content-Type": (
                "application/merge-patch+json" if method == "PATCH" else "application/json"
            ),
        },
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            words = error.read().decode()
        raise AssertionError(f"{method} {path}: {error.code} {words}") from None


@contextmanager
def shipped(home: Path, environ: dict[str, str] | None = None) -> Iterator[Sampan]:
    """A Sampan with KServe's shipped runtimes in the place of its own; nothing of it is left."""
    installation = Sampan(home, extra_env=environ or {})
    installation.up()
    for name, runtime in read("upstream", "kserve-*.yaml").items():
        if name not in NOT_INSTALLED:
            put_runtime(installation, runtime)
    try:
        yield installation
    finally:
        installation.down()
    assert processes_of(home) == []


def put_runtime(sampan: Sampan, runtime: dict[str, Any]) -> None:
    """Put a runtime in the place of the one of its name."""
    path = "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes"
    name = runtime["metadata"]["name"]
    there = {item["metadata"]["name"] for item in sampan.api(path)["items"]}
    if name in there:
        send(sampan, "DELETE", f"{path}/{name}")
    send(sampan, "POST", path, runtime)
