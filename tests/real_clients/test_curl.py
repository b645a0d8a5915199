"""curl, typed as KServe's tutorials type it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sampan.protocol.bytes_tensor import serialize_byte_tensor

ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
V1 = {"instances": ROWS}
V2 = {
    "inputs": [
        {"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": [*ROWS[0], *ROWS[1]]}
    ]
}
HOST = ("-H", "Host: sklearn-iris.kserve-test.example.com")
JSON = ("-H", "Content-Type: application/json")
CODE = ("-o", "/dev/null", "-w", "%{http_code} %{http_version}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "iris-input.json").write_text(json.dumps(V1, indent=2))
    (tmp_path / "iris-input-v2.json").write_text(json.dumps(V2, indent=2))
    (tmp_path / "large.json").write_text(json.dumps({"instances": ["x" * 3_000_000]}))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((*HOST, *JSON), id="with the Host of an ingress and a content type"),
        pytest.param(HOST, id="without a content type: -d says it is a form"),
        pytest.param((), id="without either"),
        pytest.param(("-v", *JSON), id="with -v"),
        pytest.param(("-H", "Content-Type: application/json; charset=utf-8"), id="with a charset"),
        pytest.param(("-H", "Cookie: authservice_session=abc", *JSON), id="with Kubeflow's cookie"),
        pytest.param(("-H", "Transfer-Encoding: chunked", *JSON), id="in chunks"),
        pytest.param(("--http2-prior-knowledge", *JSON), id="over h2c"),
        pytest.param(("--http2", *JSON), id="offering h2c, which is not taken up"),
        pytest.param(("--http1.0", *JSON), id="over HTTP/1.0"),
        pytest.param(("-H", "Expect: 100-continue", *JSON), id="waiting for 100 Continue"),
    ],
)
def test_v1_predict(served, curl: Callable[..., str], folder, words):
    url = f"{served.url}/v1/models/sklearn-iris:predict"
    told = curl(*words, url, "-d", "@./iris-input.json", folder=folder)
    assert json.loads(told) == {"predictions": [1, 1]}


def test_v2_infer(served, curl, folder):
    url = f"{served.url}/v2/models/sklearn-iris/infer"
    told = json.loads(curl(*HOST, *JSON, url, "-d", "@./iris-input-v2.json", folder=folder))
    assert told["model_name"] == "sklearn-iris"
    assert told["outputs"][0] == {
        "name": "output-0",
        "shape": [2],
        "datatype": "INT64",
        "parameters": None,
        "data": [1, 1],
    }


def test_v2_binary_as_the_page_on_the_extension_shows_it(served, curl, tmp_path):
    raw = bytes(serialize_byte_tensor(["ab", "é"]))
    head = json.dumps(
        {"inputs": [{"name": "x", "shape": [2], "datatype": "BYTES",
                     "parameters": {"binary_data_size": len(raw)}}]}
    ).encode()  # fmt: skip
    (tmp_path / "body.bin").write_bytes(head + raw)
    told = curl(
        "-H", "Content-Type: application/octet-stream",
        "-H", f"Inference-Header-Content-Length: {len(head)}",
        "--data-binary", "@body.bin", f"{served.url}/v2/models/echo/infer", folder=tmp_path,
    )  # fmt: skip
    assert json.loads(told)["outputs"][0]["data"] == ["ab", "é"]


@pytest.mark.parametrize("flag", ["--http1.1", "--http2-prior-knowledge"])
def test_three_megabytes_go_and_come(served, curl, folder, flag):
    url = f"{served.url}/v1/models/echo:predict"
    told = curl(flag, url, "-d", "@large.json", folder=folder)
    assert len(json.loads(told)["predictions"][0]) == 3_000_000


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 200),
        ("/v1/models", 200),
        ("/v1/models/sklearn-iris", 200),
        ("/v1/models/none", 404),
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2/models/sklearn-iris", 200),
        ("/v2/models/sklearn-iris/ready", 200),
        ("/v2/models/sklearn-iris/versions/1/ready", 501),
        ("/metrics", 200),
        ("/none", 404),
    ],
)
def test_get_and_head_agree(served, curl, path, code):
    for words in ((), ("--head",), ("--http2-prior-knowledge",)):
        assert curl(*CODE, *words, served.url + path).split()[0] == str(code)


def test_a_graph_of_requests_on_one_connection(served, curl, folder):
    """`--next` keeps the connection: two answers, one connect."""
    url = f"{served.url}/v1/models/sklearn-iris:predict"
    one = ("-w", "\n%{num_connects}\n", url, "-d", "@./iris-input.json")
    told = curl(*one, "--next", "-sS", *one, folder=folder).splitlines()
    assert (told[1], told[3]) == ("1", "0")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_curl_that_is_stopped_harms_nobody(served, curl, folder):
    url = f"{served.url}/v1/models/echo:predict"
    for _ in range(5):
        hurried = ["curl", "-s", "--max-time", "0.01", url, "-d", "@large.json"]
        subprocess.run(hurried, cwd=folder, capture_output=True, check=False, timeout=20)
    told = curl(f"{served.url}/v1/models/sklearn-iris:predict", "-d", json.dumps(V1))
    assert json.loads(told) == {"predictions": [1, 1]}
