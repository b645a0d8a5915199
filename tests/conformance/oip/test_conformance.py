"""This server answers every case; the judge itself tells right from wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

_spec = importlib.util.spec_from_file_location("oip_run", Path(__file__).with_name("run.py"))
assert _spec is not None
assert _spec.loader is not None
oip = importlib.util.module_from_spec(_spec)
sys.modules["oip_run"] = oip
_spec.loader.exec_module(oip)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Serve the iris model by a process; return its URL."""
    folder = tmp_path_factory.mktemp("oip")
    joblib.dump(SVC(gamma="scale").fit(*load_iris(return_X_y=True)), folder / "model.joblib")
    arguments = [f"--model_dir={folder}", "--model_name=iris", "--http_port=0", "--grpc_port=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sampan.app.serve", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = next(line for line in process.stderr if "listening on" in line)
    url = line.split("listening on ")[1].split()[0]
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=2):
                break
        except OSError:
            time.sleep(0.05)
    yield url
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.parametrize("case", oip.load_cases("iris"), ids=lambda c: f"{c['group']}: {c['name']}")
def test_this_server_answers_as_it_should(base, case):
    assert oip.run_case(base, case).wrong == ""


@pytest.mark.parametrize(
    ("code", "answer", "wrong"),
    [
        ("OK", {"a": 1, "raw_output_contents": ["eA=="]}, ""),
        ("INTERNAL", {"details": "no"}, "status INTERNAL, not OK"),
        ("OK", {"a": 1, "raw_output_contents": []}, "no raw contents"),
        ("OK", {"a": 2, "raw_output_contents": ["eA=="]}, "lacks"),
    ],
)
def test_the_judge_of_calls_tells_right_from_wrong(code, answer, wrong):
    told = oip.judge_call({"code": ["OK"], "json": {"a": 1}, "binary": True}, code, answer)
    assert (wrong in told) if wrong else told == ""


@pytest.mark.parametrize(
    ("status", "headers", "body", "wrong"),
    [
        (200, {"x": "1"}, b'{"a": [1, "b"], "c": 2}', ""),
        (500, {"x": "1"}, b'{"a": [1, "b"]}', "status 500"),
        (200, {}, b'{"a": [1, "b"]}', "header x"),
        (200, {"x": "1"}, b'{"a": [1]}', "lacks"),
        (200, {"x": "1"}, b'{"a": [1, ""]}', "lacks"),
        (200, {"x": "1"}, b"{", "no JSON"),
    ],
)
def test_the_judge_tells_right_from_wrong(status, headers, body, wrong):
    case = {"status": [200], "header": {"x": "<any>"}, "json": {"a": [1, "<text>"]}}
    told = oip.judge(case, status, headers, body)
    assert (wrong in told) if wrong else told == ""
