"""`sampan predict` asks in every way that a model server answers: a real server, real requests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

MODEL = """
import time

from sampan.sdk import Model, get_predict_input, get_predict_response


class Sums(Model):
    def predict(self, payload, headers=None):
        if isinstance(payload, dict) and payload.get("told"):
            return {"told": {k: headers.get(k) for k in ("authorization", "x-who")}}
        return get_predict_response(payload, get_predict_input(payload).sum(axis=1), self.name)


class Words(Model):
    def predict(self, payload, headers=None):
        def words():
            for word in ("one", "two", "three"):
                yield {"text_output": word}
            if headers.get("x-break"):
                raise RuntimeError("out of words")

        return words()
"""
ROWS = '{"instances": [[1, 2], [3, 4]]}'
TENSOR = json.dumps(
    {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server of `sums` and `words`."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "m.py").write_text(MODEL)
    code = "import sys; from sampan.cli.main import main; main(sys.argv[1:])"
    words = ["serve", "sums=m.py:Sums", "words=m.py:Words", "--http_port=0", "--grpc_port=0"]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=folder, stdout=output, stderr=output
        )
    end = time.monotonic() + 60
    while not (found := re.search(r"listening on (http://\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    yield found[1]
    process.terminate()
    process.wait(20)


@pytest.mark.parametrize(
    ("body", "args", "answer"),
    [
        pytest.param(ROWS, (), {"predictions": [3, 7]}, id="V1, by the body"),
        pytest.param(TENSOR, (), [3.0, 7.0], id="V2, by the body"),
        pytest.param(TENSOR, ("--protocol", "v2"), [3.0, 7.0], id="V2, as it was asked for"),
        pytest.param(TENSOR, ("--binary",), [3.0, 7.0], id="V2 with raw tensors"),
        pytest.param(TENSOR, ("--grpc",), [3.0, 7.0], id="V2 over gRPC"),
        pytest.param(
            ROWS,
            ("--path", "/v1/models/sums:predict"),
            {"predictions": [3, 7]},
            id="a path of one's own",
        ),
    ],
)
def test_every_protocol_answers(
    cli: Callable[..., Any], url: str, body: str, args: tuple[str, ...], answer: Any
) -> None:
    done = cli("predict", "sums", "--url", url, "-d", body, *args)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["outputs"][0]["data"] if isinstance(answer, list) else told) == answer


@pytest.mark.parametrize("args", [(), ("--binary",), ("--grpc",)], ids=["v2", "binary", "grpc"])
def test_a_service_is_asked_through_the_gateway(
    here: Path, cli: Callable[..., Any], iris: str, args: tuple[str, ...]
) -> None:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [6.8, 2.8, 4.8, 1.4]}
    done = cli("predict", iris, "-d", json.dumps({"inputs": [tensor]}), *args)
    assert done.code == 0, done.err
    assert json.loads(done.out)["outputs"][0]["data"] == [1]


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("json", '{"predictions": [3, 7]}\n'),
        ("pretty", '{\n  "predictions": [\n    3,\n    7\n  ]\n}\n'),
        ("raw", '{"predictions":[3,7]}'),
    ],
)
def test_the_answer_is_shown_as_asked(
    cli: Callable[..., Any], url: str, form: str, answer: str
) -> None:
    assert cli("predict", "sums", "--url", url, "-d", ROWS, "-o", form).out == answer


def test_headers_and_the_token_are_sent_and_the_token_may_come_from_the_environment(
    cli: Callable[..., Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ("predict", "sums", "--url", url, "-d", '{"told": true, "instances": []}')
    told = json.loads(cli(*ask, "-H", "X-Who: me", "--token", "s3").out)["told"]
    assert told == {"authorization": "Bearer s3", "x-who": "me"}
    monkeypatch.setenv("SAMPAN_TOKEN", "from-env")
    assert json.loads(cli(*ask).out)["told"]["authorization"] == "Bearer from-env"


@pytest.mark.parametrize(
    "args", [(), ("--path", "/v1/models/words:predict")], ids=["generate", "a V1 stream"]
)
def test_a_streamed_answer_comes_a_line_an_event(
    cli: Callable[..., Any], url: str, args: tuple[str, ...]
) -> None:
    done = cli("predict", "words", "--url", url, "--stream", "-d", '{"text_input": "go"}', *args)
    assert done.code == 0, done.err
    assert [json.loads(line)["text_output"] for line in done.out.splitlines()] == [
        "one",
        "two",
        "three",
    ]


def test_a_stream_that_breaks_off_shows_what_came_and_ends_with_3(
    cli: Callable[..., Any], url: str
) -> None:
    body = '{"text_input": "go"}'
    done = cli("predict", "words", "--url", url, "--stream", "-d", body, "-H", "x-break: 1")
    assert done.code == 3
    assert done.out.count("text_output") == 3
    assert "the stream broke off: RuntimeError : out of words" in done.err


class Busy(BaseHTTPRequestHandler):
    """Answers 503 once, then well."""

    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503 if self.asked == 1 else 200)
        self.send_header("retry-after", "0")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.mark.parametrize(("retries", "code", "asked"), [("3", 0, 2), ("0", 3, 1)])
def test_a_busy_server_is_asked_again_as_often_as_wanted(
    cli: Callable[..., Any], retries: str, code: int, asked: int
) -> None:
    Busy.asked = 0
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.server_port}"
            done = cli("predict", "m", "--url", base, "-d", ROWS, "--retries", retries)
        finally:
            server.shutdown()
            thread.join()
    assert (done.code, Busy.asked) == (code, asked), done.err


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        pytest.param(("none", "-d", ROWS), 1, "404 Model with name none", id="no such model"),
        pytest.param(("none", "-d", TENSOR, "--grpc"), 1, "NOT_FOUND", id="no such model, gRPC"),
        pytest.param(("sums", "-d", ROWS, "--grpc"), 1, "no V2 request", id="V1 by gRPC"),
        pytest.param(("sums", "-d", "{", "--stream"), 1, "no JSON", id="a stream of no JSON"),
        pytest.param(("sums", "-d", ROWS, "-o", "xml"), 2, '-o "xml": choose', id="output"),
        pytest.param(
            ("sums", "-d", ROWS, "--protocol", "v3"), 2, '--protocol "v3": choose', id="protocol"
        ),
        pytest.param(("sums", "-d", ROWS, "-H", "x"), 2, '--header "x": write', id="header"),
        pytest.param(
            ("sums", "-d", ROWS, "--grpc", "--stream"), 2, "exclude each other", id="two ways"
        ),
        pytest.param(
            ("sums", "-d", ROWS, "--binary", "--protocol", "v1"), 2, "speak V2", id="binary V1"
        ),
        pytest.param(
            ("sums", "-d", ROWS, "--cacert", "/nonexistent"), 2, '"/nonexistent"', id="no such CA"
        ),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    cli: Callable[..., Any], url: str, args: tuple[str, ...], code: int, told: str
) -> None:
    done = cli("predict", *args, "--url", url)
    assert (done.code, done.out) == (code, ""), done.err
    assert told in done.err


@pytest.mark.parametrize(
    ("base", "args", "code"),
    [
        ("http://127.0.0.1:9", (), 3),
        ("http://127.0.0.1:9", ("--grpc", "--retries", "0"), 3),
        ("127.0.0.1:9", (), 2),
        ("http://me:secret@127.0.0.1:9", (), 2),
    ],
    ids=["nobody there", "nobody there, gRPC", "no URL", "a password in the URL"],
)
def test_a_url_where_nobody_answers_is_told(
    cli: Callable[..., Any], base: str, args: tuple[str, ...], code: int
) -> None:
    done = cli("predict", "m", "--url", base, "-d", TENSOR, "--retries", "0", *args)
    assert done.code == code, done.err
    assert "secret" not in done.err
    assert "Traceback" not in done.err


def test_a_large_answer_goes_into_a_pipe_that_closes(url: str) -> None:
    code = "import sys; from sampan.cli.main import main; main(sys.argv[1:])"
    rows = json.dumps({"instances": [[1, 2]] * 200_000})
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -c '{code}' predict sums --url {url} -f - | head -c 10"],
        input=rows.encode(),
        capture_output=True,
        timeout=60,
        env=os.environ,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b'{"predicti', b"")
