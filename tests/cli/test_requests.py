"""Requests that are wrong get the model server's own 4xx, at once; `logs` of what wrote nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WRONG = [
    pytest.param(("{", (), "400 ", "Unrecognized request format"), id="JSON that is cut off"),
    pytest.param(("", (), "400 ", ""), id="no body at all"),
    pytest.param(("7", (), "400 ", ""), id="a number"),
    pytest.param(('{"instance": [[1]]}', (), "400 ", "instances"), id="a misspelt field"),
    pytest.param(('{"instances": 7}', (), "400 ", ""), id="instances that are no list"),
    pytest.param(('{"instances": [[1, 2]]}', (), "400 ", "4 features"), id="too few features"),
    pytest.param(('{"instances": [["a", "b", "c", "d"]]}', (), "400 ", ""), id="words for numbers"),
    pytest.param(('{"instances": [[1, 2, 3, 4], [1]]}', (), "400 ", ""), id="rows of two lengths"),
    pytest.param(
        (
            '{"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [1, 2]}]}',
            (),
            "400 ",
            "",
        ),
        id="data that does not fill its shape",
    ),
    pytest.param(
        (
            '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP99", "data": [1]}]}',
            (),
            "400 ",
            "FP99",
        ),
        id="a datatype that does not exist",
    ),
    pytest.param(
        ('{"instances": [[1, 2, 3, 4]]}', ("--path", "/v1/models/iris2:predict"), "404 ", "iris2"),
        id="a model of another name",
    ),
    pytest.param(
        ('{"instances": [[1, 2, 3, 4]]}', ("--path", "/v3/models/iris"), "404 ", ""),
        id="no such path",
    ),
]


@pytest.mark.parametrize("request_and_answer", WRONG)
def test_a_wrong_request_shows_the_answer_and_ends_with_1(
    here: Path,
    cli: Callable[..., Any],
    iris: str,
    request_and_answer: tuple[str, tuple[str, ...], str, str],
) -> None:
    body, args, status, told = request_and_answer
    (here / "request.json").write_text(body)
    done = cli("predict", iris, "-f", "request.json", *args)
    assert (done.code, done.out) == (1, "")
    assert done.lines[0].startswith(status)
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_right_request_still_passes(here: Path, cli: Callable[..., Any], iris: str) -> None:
    done = cli("predict", iris, "-d", '{"instances": [[6.8, 2.8, 4.8, 1.4]]}')
    assert (done.code, json.loads(done.out), done.err) == (0, {"predictions": [1]}, "")


def test_a_body_of_100_megabytes_is_refused_in_seconds(
    here: Path, cli: Callable[..., Any], iris: str
) -> None:
    row = b"[6.8, 2.8, 4.8, 1.4],"
    body = b'{"instances": [' + row * (100_000_000 // len(row)) + b"[1, 2, 3, 4]]}"
    (here / "large.json").write_bytes(body)
    begun = time.monotonic()
    done = cli("predict", iris, "-f", "large.json")
    assert time.monotonic() - begun < 20
    assert (done.code, done.out) == (1, "")
    assert done.lines[0].startswith("413 ")
    assert cli("predict", iris, "-d", '{"instances": [[1, 2, 3, 4]]}').code == 0


def test_a_request_that_cannot_be_read(here: Path, cli: Callable[..., Any], iris: str) -> None:
    done = cli("predict", iris, "-f", "absent.json")
    assert done.code == 1
    assert (
        done.err == 'error: the request "absent.json" cannot be read: No such file or directory\n'
    )


STUCK = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: stuck}
spec: {predictor: {model: {modelFormat: {name: sklearn}, storageUri: /nonexistent/model}}}
"""


def asked_until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """The first answer that holds, else the last: what is applied becomes true a moment later."""
    limit = time.monotonic() + 30
    while not holds(answer := ask()) and time.monotonic() < limit:
        time.sleep(0.1)
    return answer


def test_a_service_without_a_replica_has_no_logs_and_no_answers_and_both_say_where_to_look(
    here: Path, cli: Callable[..., Any]
) -> None:
    (here / "stuck.yaml").write_text(STUCK)
    assert cli("apply", "-f", "stuck.yaml").code == 0
    try:
        logs = cli("logs", "stuck")
        assert (logs.code, logs.out) == (1, "")
        assert logs.err == (
            'error: "stuck" has no replica yet; see `sampan why stuck -n default`\n'
        )
        predict = asked_until(
            lambda: cli("predict", "stuck", "-d", '{"instances": [[1]]}'), lambda a: a.code == 3
        )
        assert predict.code == 3
        assert predict.lines[0].startswith("503 ")
        assert "see `sampan why stuck -n default`" in predict.err
        why = asked_until(lambda: cli("why", "stuck"), lambda a: "/nonexistent" in a.out)
        assert why.code == 1
        assert "/nonexistent" in why.out
    finally:
        cli("delete", "isvc", "stuck")


def test_logs_of_an_earlier_run_that_there_was_not(
    here: Path, cli: Callable[..., Any], iris: str
) -> None:
    done = cli("logs", iris, "--previous")
    assert (done.code, done.out) == (1, "")
    assert "previous terminated container" in done.err
