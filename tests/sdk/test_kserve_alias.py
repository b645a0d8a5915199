"""Files written for KServe's SDK run as they are, and an installed kserve is never shadowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sampan.kserve import LATE, LINK, install, uninstall

CUSTOM = """
import argparse
from typing import Dict, Union

from kserve import InferRequest, InferResponse, Model, ModelServer, logging, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class Summing(Model):
    def __init__(self, name: str):
        super().__init__(name)
        self.ready = False
        self.load()

    def load(self):
        self.scale = 1
        self.ready = True

    def predict(
        self, payload: Union[Dict, InferRequest], headers: Dict[str, str] = None
    ) -> Union[Dict, InferResponse]:
        rows = get_predict_input(payload)
        return get_predict_response(payload, rows.sum(axis=1) * self.scale, self.name)


parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--scale", type=int, default=1)
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    if args.configure_logging:
        logging.configure_logging(args.log_config_file)
    model = Summing(args.model_name)
    model.scale = args.scale
    ModelServer().start([model])
"""
TRANSFORMER = """
import argparse
from typing import Dict, Union

from kserve import InferInput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.model import PredictorConfig


class Doubling(Model):
    def __init__(self, name: str, config: PredictorConfig):
        super().__init__(name, config)
        self.ready = True

    def preprocess(self, payload: Union[Dict, InferRequest], headers: Dict[str, str] = None):
        if isinstance(payload, InferRequest):
            tensor = payload.inputs[0]
            doubled = InferInput(tensor.name, tensor.shape, tensor.datatype)
            doubled.set_data_from_numpy(tensor.as_numpy() * 2, binary_data=False)
            return InferRequest(self.name, [doubled], payload.id)
        return {"instances": [[2 * x for x in row] for row in payload["instances"]]}

    def postprocess(self, result, headers=None, response_headers=None):
        if isinstance(result, InferResponse):
            return result
        return {"predictions": result["predictions"], "by": self.name}


parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    config = PredictorConfig(args.predictor_host, args.predictor_protocol)
    ModelServer().start([Doubling(args.model_name, config)])
"""
ROWS = {"instances": [[1, 2], [3, 4]]}
TENSOR = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]}]}


def test_a_custom_model_written_for_kserve_answers_v1_and_v2(serve, tmp_path):
    (tmp_path / "custom.py").write_text(CUSTOM)
    served = serve("custom.py", "--model_name", "sums", "--scale", "10")
    assert served.ask("/v1/models/sums:predict", ROWS)[:2] == (200, {"predictions": [30, 70]})
    answer = served.ask("/v2/models/sums/infer", TENSOR)[1]
    assert answer["outputs"][0]["data"] == [30, 70]
    assert served.end() == 0


@pytest.mark.parametrize("protocol", ["v1", "v2", "grpc-v2"])
def test_a_transformer_asks_its_predictor(serve, tmp_path, protocol):
    (tmp_path / "custom.py").write_text(CUSTOM)
    (tmp_path / "transformer.py").write_text(TRANSFORMER)
    predictor = serve("custom.py", "--model_name", "sums")
    served = serve(
        "transformer.py",
        "--model_name=sums",
        f"--predictor_host=127.0.0.1:{predictor.port}",
        f"--predictor_protocol={protocol}",
    )
    if protocol == "v1":
        answer = served.ask("/v1/models/sums:predict", ROWS)[1]
        assert answer == {"predictions": [6, 14], "by": "sums"}
    else:
        answer = served.ask("/v2/models/sums/infer", TENSOR)[1]
        assert answer["outputs"][0]["data"] == [6, 14]


def test_a_predictor_that_is_down_is_the_servers_fault(serve, tmp_path):
    (tmp_path / "transformer.py").write_text(TRANSFORMER)
    served = serve("transformer.py", "--predictor_host=127.0.0.1:9")
    status, body, _ = served.ask("/v1/models/model:predict", ROWS)
    assert status == 500
    assert body["error"].startswith("ConnectError : ")


def test_without_a_predictor_there_is_nobody_to_ask(serve, tmp_path):
    (tmp_path / "m.py").write_text("from kserve import Model\nclass M(Model):\n    pass\n")
    served = serve("m.py:M")
    answer = served.ask("/v1/models/m:predict", ROWS)
    assert answer[:2] == (501, {"error": "Could not find PredictorConfig."})
    answer = served.ask("/v1/models/m:explain", ROWS)
    assert answer[:2] == (501, {"error": "Could not find explainer_host."})


def test_a_model_sets_response_headers_where_it_says_so(serve, tmp_path):
    (tmp_path / "m.py").write_text(
        "from kserve import Model\n"
        "class M(Model):\n"
        "    def __init__(self, name):\n"
        "        super().__init__(name, return_response_headers=True)\n"
        "    async def predict(self, payload, headers=None, response_headers=None):\n"
        "        response_headers['x-served-by'] = headers['x-asked-by']\n"
        "        return {'predictions': []}\n"
    )
    served = serve("m.py:M")
    headers = served.ask("/v1/models/m:predict", ROWS, {"x-asked-by": "me"})[2]
    assert headers["x-served-by"] == "me"


def run(*words: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_installed_kserve_is_the_one_that_is_found(tmp_path):
    (tmp_path / "packages" / "kserve").mkdir(parents=True)
    (tmp_path / "packages" / "kserve" / "__init__.py").write_text("WHOSE = 'its own'\n")
    (tmp_path / "m.py").write_text("import kserve; print(kserve.WHOSE)\n")
    done = run("-m", "sampan.kserve", "m.py", folder=tmp_path, path=str(tmp_path / "packages"))
    assert done.stdout == "its own\n", done.stderr


@pytest.mark.parametrize("word", ["import kserve", "import kserve.model as kserve"])
def test_by_pythonpath_the_alias_makes_way_for_an_installed_kserve(tmp_path, word):
    packages = tmp_path / "packages"
    code = f"{word}; print(vars(kserve).get('WHOSE') or kserve.Model.__module__)"
    done = run("-c", code, folder=tmp_path, path=f"{LATE}:{packages}")
    assert done.stdout == "sampan.sdk.model\n", done.stderr
    (packages / "kserve").mkdir(parents=True)
    (packages / "kserve" / "__init__.py").write_text("WHOSE = 'its own'\n")
    (packages / "kserve" / "model.py").write_text("WHOSE = 'its own'\n")
    done = run("-c", code, folder=tmp_path, path=f"{LATE}:{packages}")
    assert done.stdout == "its own\n", done.stderr


def test_where_sampan_is_not_installed_the_alias_says_what_is_missing(tmp_path):
    done = run("-S", "-c", "import kserve", folder=tmp_path, path=LATE)
    assert 'No module named "kserve" in' in done.stderr
    assert "install kserve or sampan there" in done.stderr


def test_the_port_that_the_platform_gives_is_the_default(tmp_path):
    (tmp_path / "custom.py").write_text(
        "from kserve import model_server\n"
        "print(model_server.args.http_port, model_server.args.grpc_port, flush=True)\n"
    )
    # Where it gives one, that is the only one: gRPC is spoken there too.
    for port, told in (("8123", "8123 0\n"), ("", "8080 8081\n")):
        code = f"import os; os.environ['PORT'] = '{port}'; import custom"
        done = run("-c", code, folder=tmp_path, path=f"{LATE}:{tmp_path}")
        assert done.stdout == told, done.stderr
    done = run(
        "-c",
        "import os; os.environ['PORT'] = 'x'; import custom",
        folder=tmp_path,
        path=f"{LATE}:{tmp_path}",
    )
    assert 'PORT is "x"; give a port number' in done.stderr


def test_a_name_that_is_not_there_says_where_it_is(tmp_path):
    (tmp_path / "m.py").write_text("from kserve import KServeClient\n")
    done = run("-m", "sampan.kserve", "m.py", folder=tmp_path)
    assert done.returncode == 1
    assert '"kserve.KServeClient" is not among the names that Sampan answers for' in done.stderr
    assert '"pip install kserve"' in done.stderr


def test_installing_writes_one_file_and_uninstalling_removes_it(tmp_path):
    link = install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LINK]
    assert (Path(link.read_text().strip()) / "kserve" / "__init__.py").is_file()
    uninstall(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_alias_loads_no_framework(tmp_path):
    (tmp_path / "m.py").write_text(
        "import sys, kserve\n"
        "print(sorted({'httpx', 'numpy', 'grpc', 'pydantic'} & set(sys.modules)))\n"
    )
    assert run("-m", "sampan.kserve", "m.py", folder=tmp_path).stdout == "[]\n"
