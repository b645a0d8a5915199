"""A service of BentoML, answered by Sampan and by `bentoml serve`: the same answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.engines.bento_zoo import LONE, MOUNTED, SERVICE

pytest.importorskip("bentoml", reason="bentoml is not installed: make test-engines")
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

_PATIENCE = 600.0
_OF_A_REQUEST = {
    "date", "x-bentoml-request-id", "x-request-id", "content-length", "connection",
    "transfer-encoding", "etag", "last-modified",
}  # fmt: skip
"""Headers that differ from one answer to the next, or say how it is framed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_project(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@contextmanager
def running(command: list[str], folder: Path, url: str, ready: str) -> Iterator[str]:
    """Run a server in a folder until the block ends; give its address once it is ready."""
    environ = {**os.environ, "BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(folder / "home")}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            wait_until_ready(url + ready, process, folder)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        told = (folder / "server.log").read_text()
        assert process.poll() is None, told
        try:
            if httpx.get(url, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, told
        time.sleep(0.2)


@contextmanager
def ours(folder: Path, *arguments: str) -> Iterator[str]:
    port = free_port()
    command = [
        sys.executable, "-m", "sampan.app.serve", "--runtime=bentoml", "--trust", "--grpc_port=0",
        "--model_name=zoo", f"--http_port={port}", *(arguments or ("bentoml", "serve", ".")),
    ]  # fmt: skip
    with running(command, folder, f"http://127.0.0.1:{port}", "/v2/health/ready") as url:
        yield url


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the zoo by Sampan."""
    root = tmp_path_factory.mktemp("mine")
    folder = write_project(root / "zoo", service=SERVICE, mounted_app=MOUNTED)
    with ours(folder) as url:
        yield url
    assert (folder / "ended.txt").read_text() == "yes", "its hook for the end has not run"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the zoo by `bentoml serve`."""
    root = tmp_path_factory.mktemp("theirs")
    folder = write_project(root / "zoo", service=SERVICE, mounted_app=MOUNTED)
    port = free_port()
    program = str(Path(sys.executable).with_name("bentoml"))
    command = [program, "serve", ".", "--port", str(port), "--host", "127.0.0.1"]
    with running(command, folder, f"http://127.0.0.1:{port}", "/readyz") as url:
        yield url


def show(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    kept = {k: v for k, v in answer.headers.items() if k not in _OF_A_REQUEST}
    if "allow" in kept:  # a set there
        kept["allow"] = " ".join(sorted(kept["allow"].split(", ")))
    return answer.status_code, answer.content, kept


def of_json(value: Any) -> dict[str, Any]:
    return {"json": value}


FLOWERS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
POSTS = [
    pytest.param("starts", of_json({}), id="the start hook has run once"),
    pytest.param("add", of_json({"a": 1}), id="a default is taken"),
    pytest.param("add", of_json({"a": 1, "b": 5}), id="both arguments"),
    pytest.param("add", of_json({"a": "4"}), id="a number as text is one"),
    pytest.param("add", of_json({"a": 1, "zzz": 3}), id="an unknown argument is nobody's"),
    pytest.param("add", of_json({"a": "x"}), id="no number is 400"),
    pytest.param("add", of_json({}), id="a missing argument is 400"),
    pytest.param("add", of_json([1]), id="a list for an object is 400"),
    pytest.param("add", {"content": b"{nope"}, id="no JSON is 400"),
    pytest.param("add", {"content": b""}, id="an empty body is an empty object"),
    pytest.param("add", {"data": {"a": "4"}}, id="a form"),
    pytest.param("add", {"content": b"x", "headers": {
        "content-type": "application/vnd.bentoml+pickle"}}, id="a pickle is refused"),
    pytest.param("text", of_json({"text": "hé"}), id="text is answered as text"),
    pytest.param("lone_text", {"content": "hé".encode()}, id="a lone text is the body"),
    pytest.param("lone_text", {"content": b""}, id="an empty body as a lone text"),
    pytest.param("lone_list", of_json([1, 2.5]), id="a lone list is the body"),
    pytest.param("lone_list", of_json(["q"]), id="a lone list of texts is 400"),
    pytest.param("lone_model", of_json({"sepal": 2}), id="a lone model is the body"),
    pytest.param("lone_model", of_json({"petal": 2}), id="a lone model that lacks a field is 400"),
    pytest.param("sums", of_json({"x": FLOWERS}), id="arrays in and out"),
    pytest.param("sums", of_json({"x": [[1, 2, 3]]}), id="an array of the wrong shape is 400"),
    pytest.param("sums", of_json({"x": "no"}), id="a text for an array is 400"),
    pytest.param("frame", of_json({"df": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}), id="a DataFrame"),
    pytest.param("frame", of_json({"df": {"a": [1, 2]}}), id="a DataFrame by columns"),
    pytest.param("judge", of_json({"flower": {"sepal": 2}}), id="pydantic models in and out"),
    pytest.param("judge", of_json({"flower": {}}), id="a pydantic model that lacks a field is 400"),
    pytest.param("awaited", of_json({"n": 4}), id="an async API"),
    pytest.param("awaited", of_json({"n": None}), id="null for a number is 400"),
    pytest.param("batched", of_json({"x": [[1, 2], [3, 4]]}), id="a batchable API"),
    pytest.param("stream", of_json({"n": 3}), id="a stream"),
    pytest.param("events", of_json({"n": 3}), id="an async stream"),
    pytest.param("upload", {"files": {"file": ("a.txt", b"hello")}, "data": {"note": "hi "}},
                 id="a file beside a text"),
    pytest.param("give", of_json({"text": "content"}), id="a file as the answer"),
    pytest.param("picture", of_json({"side": 2}), id="a picture as the answer"),
    pytest.param("markup", of_json({"n": 2}), id="a media type of its own"),
    pytest.param("invalid", of_json({"n": 1}), id="a declared error is 400"),
    pytest.param("missing", of_json({"n": 1}), id="a declared error is 404"),
    pytest.param("forbidden", of_json({"n": 1}), id="a declared error is 403, without its words"),
    pytest.param("broken", of_json({"n": 1}), id="any other error is 500, without its words"),
    pytest.param("untrue", of_json({"n": 1}), id="an answer of another type is 400"),
    pytest.param("context", {**of_json({"n": 1}), "headers": {"x-yours": "7"}},
                 id="the context sets status and headers"),
    pytest.param("late", of_json({"seconds": 0.01}), id="in time"),
    pytest.param("late_awaited", of_json({"seconds": 0.01}), id="in time, awaited"),
    pytest.param("v2/other", of_json({"n": 1}), id="a route of its own"),
    pytest.param("anything", of_json({"kwargs": {"a": 1}}), id="any arguments"),
    pytest.param("anything", of_json({}), id="any arguments but none is 400"),
    pytest.param("job", of_json({"n": 3}), id="a task, at once"),
    pytest.param("nowhere", of_json({}), id="a path that nothing has is 404"),
    pytest.param("livez", of_json({}), id="a method that a path has not is 405"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "request_"), POSTS)
def test_an_answer_equals_that_of_bentoml(path, request_, mine, theirs):
    with httpx.Client(timeout=60) as client:
        got = show(client.post(f"{mine}/{path}", **request_))
        assert got == show(client.post(f"{theirs}/{path}", **request_))


@pytest.mark.parametrize(
    "path", ["livez", "readyz", "healthz", "schema.json", "docs.json", "", "add", "v1/models"]
)
def test_a_page_equals_that_of_bentoml(path, mine, theirs):
    with httpx.Client(timeout=60) as client:
        assert show(client.get(f"{mine}/{path}")) == show(client.get(f"{theirs}/{path}"))


@pytest.mark.parametrize("path", ["late", "late_awaited"])
def test_what_takes_too_long_is_504_with_the_same_words(path, mine, theirs):
    body = {"seconds": 6}
    with httpx.Client(timeout=60) as client:
        asked = client.post(f"{mine}/{path}", json=body)
        there = client.post(f"{theirs}/{path}", json=body)
    assert (asked.status_code, asked.json()) == (there.status_code, there.json())
    assert asked.status_code == 504


def test_a_lone_value_that_is_no_json_is_the_callers_mistake_here(mine, theirs):
    assert httpx.post(f"{theirs}/lone_list", content=b"[1,").status_code == 500
    answer = httpx.post(f"{mine}/lone_list", content=b"[1,")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is no JSON (")


def test_a_task_is_submitted_and_fetched(mine):
    with httpx.Client(base_url=mine, timeout=60) as client:
        number = client.post("/job/submit", json={"n": 3}).json()["task_id"]
        deadline = time.monotonic() + _PATIENCE
        while client.get("/job/status", params={"task_id": number}).json()["status"] != "completed":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert client.get("/job/get", params={"task_id": number}).json() == 3


def test_requests_that_come_together_are_each_answered(mine):
    def ask(number: int) -> Any:
        path, body = [
            ("add", {"a": number}), ("awaited", {"n": number + 1}),
            ("batched", {"x": [[number + 1]]}),
        ][number % 3]  # fmt: skip
        return httpx.post(f"{mine}/{path}", json=body, timeout=60).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(60)))
    flat = [answer[0][0] if isinstance(answer, list) else answer for answer in answers]
    assert flat == [number + 2 for number in range(60)]


def test_a_slow_api_keeps_neither_health_nor_an_async_api(mine):
    with ThreadPoolExecutor(2) as pool:
        slow = [
            pool.submit(httpx.post, f"{mine}/late", json={"seconds": 2.5}, timeout=60)
            for _ in range(2)  # both of its threads
        ]
        time.sleep(0.3)
        began = time.monotonic()
        assert httpx.get(f"{mine}/livez", timeout=60).status_code == 200
        assert httpx.post(f"{mine}/awaited", json={"n": 1}, timeout=60).json() == 2
        waited = time.monotonic() - began
        assert {one.result().status_code for one in slow} <= {200, 504}
    assert waited < 2  # as long as the slow ones take at least


def test_metrics_are_ours_and_theirs_no_family_twice(mine):
    httpx.post(f"{mine}/add", json={"a": 1})
    page = httpx.get(f"{mine}/metrics").text
    assert 'model_name="zoo/add"' in page
    assert "asked_in_vain_total 1.0" in page
    kinds = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")]
    assert sorted(kinds) == sorted(set(kinds))


def test_v1_says_where_a_service_of_several_apis_is_asked(mine):
    answer = httpx.post(f"{mine}/v1/models/other:predict", json={"instances": [1]})
    assert answer.status_code == 404  # the service has /v1 mounted, KServe's paths below it too
    answer = httpx.get(f"{mine}/v2/models/zoo")
    assert answer.json()["platform"] == "bentoml"


def test_a_service_of_one_api_answers_v1_and_judges_its_health(tmp_path):
    folder = write_project(tmp_path / "lone", lone=LONE)
    with ours(folder, "bentoml", "serve", "lone:Lone") as url:
        asked = httpx.post(f"{url}/v1/models/zoo:predict", json={"instances": [1, 2.5]})
        assert asked.json() == {"predictions": [2.0, 5.0]}
        wrong = httpx.post(f"{url}/v1/models/zoo:predict", json={"instances": ["x"]})
        assert wrong.status_code == 400
        httpx.post(f"{url}/doubled", json={"values": [0]})
        deadline = time.monotonic() + _PATIENCE
        while httpx.get(f"{url}/v2/health/ready").status_code == 200:
            assert time.monotonic() < deadline, "it says that it is not ready"
            time.sleep(0.1)
        assert httpx.get(f"{url}/readyz").status_code == 503


@pytest.mark.parametrize(
    ("files", "words", "said"),
    [
        pytest.param({"service": "import nothing_of_that_name"}, (), "cannot be imported",
                     id="an import that is missing"),
        pytest.param({"service": "x = 1"}, (), "No service found", id="no service"),
        pytest.param({"other": "x = 1"}, (), "holds no Bento (other.py", id="no Bento"),
        pytest.param({"service": LONE.replace("self.well = True", "open('none.txt')")}, (),
                     'service "Lone" raised FileNotFoundError', id="an __init__ that raises"),
    ],
)  # fmt: skip
def test_what_does_not_load_ends_the_server_with_its_reason(files, words, said, tmp_path):
    folder = write_project(tmp_path / "wrong", **files)
    command = [
        sys.executable, "-m", "sampan.app.serve", "--runtime=bentoml", "--trust", "--grpc_port=0",
        f"--http_port={free_port()}", f"--model_dir={folder}", *words,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_bento_runs_only_where_it_is_trusted(tmp_path):
    folder = write_project(tmp_path / "zoo", service="open('ran.txt', 'w')")
    command = [
        sys.executable, "-m", "sampan.app.serve", "--runtime=bentoml", "--grpc_port=0",
        f"--http_port={free_port()}", f"--model_dir={folder}",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1
    assert "serving.sampan.dev/trust" in done.stderr
    assert not list(tmp_path.rglob("ran.txt"))


def test_two_calls_of_one_connection_are_the_same(mine):
    with httpx.Client(base_url=mine, timeout=60) as client:
        first, second = (client.post("/sums", json={"x": FLOWERS}).json() for _ in range(2))
    assert first == second == pytest.approx([15.8, 15.5])
