"""The kinds of custom model that KServe's documentation describes, each written for its SDK.

Nothing of Sampan is named in them: `from kserve import ...` finds the alias.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

PREDICTOR = """
import argparse
import base64
import io
from typing import Dict

from kserve import Model, ModelServer, logging, model_server
from kserve.errors import InvalidInput
from kserve.logging import logger


class Lengths(Model):
    \"\"\"The custom predictor: base64 in, something about each blob out.\"\"\"

    def __init__(self, name: str):
        super().__init__(name)
        self.model = None
        self.ready = False
        self.load()

    def load(self):
        self.model = len
        self.ready = True

    def predict(self, payload: Dict, headers: Dict[str, str] = None) -> Dict:
        instances = payload["instances"]
        if not instances:
            raise InvalidInput("no instance was sent")
        blobs = [base64.b64decode(one["image"]["b64"]) for one in instances]
        logger.info("measuring %s blobs", len(blobs))
        return {"predictions": [self.model(io.BytesIO(blob).read()) for blob in blobs]}


parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    if args.configure_logging:
        logging.configure_logging(args.log_config_file)
    model = Lengths(args.model_name)
    ModelServer().start([model])
"""
TENSORS = """
from typing import Dict, Union

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid, get_predict_input


class Top(Model):
    \"\"\"The custom gRPC predictor: tensors in, tensors out, over whichever protocol.\"\"\"

    def __init__(self, name: str):
        super().__init__(name)
        self.ready = True

    def get_input_types(self):
        return [{"name": "input-0", "datatype": "FP32", "shape": [-1, 3]}]

    def predict(self, payload: InferRequest, headers: Dict[str, str] = None) -> InferResponse:
        result = payload.inputs[0].as_numpy().max(axis=1)
        output = InferOutput(
            name="output-0", shape=list(result.shape), datatype="FP32", data=result.tolist()
        )
        return InferResponse(
            model_name=self.name,
            infer_outputs=[output],
            response_id=payload.id or generate_uuid(),
        )


class Steps(Model):
    \"\"\"Every step of its own, some of them coroutines, and headers both ways.\"\"\"

    def __init__(self, name: str):
        super().__init__(name, return_response_headers=True)
        self.ready = True

    async def preprocess(self, payload, headers: Dict[str, str] = None):
        return {"instances": [one * 10 for one in payload["instances"]]}

    async def predict(self, payload, headers=None, response_headers: Dict[str, str] = None):
        response_headers.update({"x-tenant": headers["x-tenant"]})
        return {"predictions": payload["instances"]}

    def postprocess(self, result, headers=None, response_headers: Dict[str, str] = None):
        response_headers["x-count"] = str(len(result["predictions"]))
        return {"predictions": [one + 1 for one in result["predictions"]]}

    async def explain(self, payload, headers: Dict[str, str] = None):
        return {"predictions": payload["instances"]}


class Words(Model):
    \"\"\"A model that streams.\"\"\"

    def __init__(self, name: str):
        super().__init__(name)
        self.ready = True

    async def predict(self, payload, headers: Dict[str, str] = None):
        async def words():
            for word in payload["instances"]:
                yield word + " "

        return words()


class Failing(Model):
    def __init__(self, name: str):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers: Dict[str, str] = None):
        return {"predictions": payload["missing"]}


class Late(Model):
    \"\"\"Not ready when the server starts, and loaded by it.\"\"\"

    def load(self):
        self.ready = True
        return self.ready

    def predict(self, payload, headers: Dict[str, str] = None):
        return {"predictions": ["late"]}


if __name__ == "__main__":
    server = ModelServer(workers=1, enable_latency_logging=True)
    server.register_model(Top("alias-of-top"), "renamed")
    server.start([Top("top"), Steps("steps"), Words("words"), Failing("failing"), Late("late")])
"""
TRANSFORMER = """
import argparse
from typing import Dict, Union

from kserve import InferInput, InferRequest, InferResponse, Model, ModelServer, model_server


class Halves(Model):
    \"\"\"The custom transformer whose predictor is named on the command line.\"\"\"

    def __init__(self, name: str):
        super().__init__(name)
        self.ready = True

    async def preprocess(
        self, payload: Union[Dict, InferRequest], headers: Dict[str, str] = None
    ) -> Union[Dict, InferRequest]:
        import numpy as np

        rows = np.array(payload["instances"], dtype=np.float32) / 2
        tensor = InferInput("input-0", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows, binary_data=True)
        return InferRequest(model_name=self.name, infer_inputs=[tensor])

    async def postprocess(
        self, infer_response: Union[Dict, InferResponse], headers: Dict[str, str] = None
    ) -> Dict:
        return {"predictions": infer_response.outputs[0].as_numpy().tolist()}


parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    ModelServer().start([Halves(args.model_name)])
"""
REPOSITORY = """
import argparse
import pathlib

from kserve import Model, ModelRepository, ModelServer, model_server


class Text(Model):
    def __init__(self, name, folder):
        super().__init__(name)
        self.folder = folder

    def load(self):
        self.text = pathlib.Path(self.folder, "text").read_text()
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):
        return {"predictions": [self.text]}


class Texts(ModelRepository):
    def __init__(self, model_dir):
        super().__init__(model_dir)
        self.load_models()

    def load_model(self, name):
        model = Text(name, pathlib.Path(self.models_dir, name))
        if model.load():
            self.update(model)
        return model.ready


parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--model_dir", required=True)
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    ModelServer(registered_models=Texts(args.model_dir)).start([])
"""
ROWS = {"instances": [[1, 5, 3], [9, 2, 4]]}


@pytest.fixture
def several(serve, tmp_path) -> Iterator:
    (tmp_path / "several.py").write_text(TENSORS)
    return serve("several.py")


def test_a_custom_predictor_takes_its_own_payload_and_logs_as_kserve_does(serve, tmp_path):
    (tmp_path / "predictor.py").write_text(PREDICTOR)
    served = serve("predictor.py", "--model_name=custom-model")
    blob = {"image": {"b64": "AAECAw=="}}
    told = served.ask("/v1/models/custom-model:predict", {"instances": [blob, blob]})
    assert told[:2] == (200, {"predictions": [4, 4]})
    served.said("measuring 2 blobs")
    told = served.ask("/v1/models/custom-model:predict", {"instances": []})
    assert told[:2] == (400, {"error": "no instance was sent"})


def test_several_models_one_of_them_under_an_alias(several):
    assert sorted(several.ask("/v1/models")[1]["models"]) == [
        "failing", "late", "renamed", "steps", "top", "words",
    ]  # fmt: skip
    tensor = {"name": "input-0", "shape": [2, 3], "datatype": "FP32", "data": [1, 5, 3, 9, 2, 4]}
    for name in ("top", "renamed"):
        answer = several.ask(f"/v2/models/{name}/infer", {"id": "7", "inputs": [tensor]})[1]
        assert (answer["id"], answer["outputs"][0]["data"]) == ("7", [5, 9])
    assert several.ask("/v2/models/top")[1]["inputs"][0]["shape"] == [-1, 3]
    assert several.ask("/v1/models/late:predict", ROWS)[:2] == (200, {"predictions": ["late"]})


def test_a_custom_grpc_predictor_is_asked_over_grpc(several):
    async def ask() -> tuple[str | None, list[float]]:
        client = InferenceGRPCClient(f"127.0.0.1:{several.port}")
        tensor = InferInput("input-0", [2, 3], "FP32")
        tensor.set_data_from_numpy(np.array(ROWS["instances"], dtype=np.float32))
        answer = await client.infer(InferRequest("top", [tensor], "7"))
        found = answer.id, answer.outputs[0].as_numpy().tolist()
        with pytest.raises(grpc.aio.AioRpcError):
            await client.infer(InferRequest("none", [tensor]))
        await client.close()
        return found

    assert asyncio.run(ask()) == ("7", [5, 9])


def test_every_step_runs_and_headers_go_both_ways(several):
    status, body, headers = several.ask(
        "/v1/models/steps:predict", {"instances": [1, 2]}, {"x-tenant": "blue"}
    )
    assert (status, body) == (200, {"predictions": [11, 21]})
    assert (headers["x-tenant"], headers["x-count"]) == ("blue", "2")
    told = several.ask("/v1/models/steps:explain", {"instances": [2]})
    assert told[:2] == (200, {"predictions": [21]}), "explain has the steps around it as well"


def test_a_stream_arrives_as_chunks(several):
    connection = http.client.HTTPConnection("127.0.0.1", several.port, timeout=10)
    body = json.dumps({"instances": ["one", "two"]})
    connection.request("POST", "/v1/models/words:predict", body)
    answer = connection.getresponse()
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.read() == b"one two "
    connection.close()


def test_what_a_model_raises_is_told_by_type_and_text_with_the_request_id_and_no_stack(several):
    status, body, headers = several.ask(
        "/v1/models/failing:predict", ROWS, {"x-request-id": "abc-1"}
    )
    assert (status, body) == (500, {"error": "KeyError : 'missing'"})
    assert headers["x-request-id"] == "abc-1"
    assert "Traceback" in several.said(r"raised on request abc-1[\s\S]*KeyError")[0]


def test_a_stack_is_sent_where_it_was_asked_for(serve, tmp_path):
    (tmp_path / "several.py").write_text(TENSORS)
    served = serve("failing=several.py:Failing", "--debug")
    body = served.ask("/v1/models/failing:predict", ROWS)[1]
    assert body["error"] == "KeyError : 'missing'"
    assert "several.py" in body["traceback"]


@pytest.mark.parametrize("protocol", ["v2", "grpc-v2"])
def test_a_transformer_takes_v1_and_asks_its_predictor_in_tensors(serve, tmp_path, protocol):
    (tmp_path / "several.py").write_text(TENSORS)
    (tmp_path / "transformer.py").write_text(TRANSFORMER)
    predictor = serve("several.py")
    served = serve(
        "transformer.py",
        "--model_name=top",
        f"--predictor_host=127.0.0.1:{predictor.port}",
        f"--predictor_protocol={protocol}",
    )
    assert served.ask("/v1/models/top:predict", ROWS)[:2] == (200, {"predictions": [2.5, 4.5]})


def test_a_repository_of_ones_own_serves_the_folders_it_finds(serve, tmp_path):
    for name in ("red", "blue"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "text").write_text(name)
    (tmp_path / "texts.py").write_text(REPOSITORY)
    served = serve("texts.py", f"--model_dir={tmp_path / 'models'}")
    for name in ("red", "blue"):
        assert served.ask(f"/v1/models/{name}:predict", ROWS)[1] == {"predictions": [name]}
