"""Explainers: how they ask their predictor, what they take, and that each is declared whole."""

from __future__ import annotations

import argparse
import json
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sampan.app import explain
from sampan.manifests import read_images
from sampan.protocol.errors import InferenceError, InvalidInput, RequestTimeout
from sampan.runtimes.explainers import EXPLAINERS, all_explainers, art, background
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.declaration import Asked
from sampan.server.load_failure import LoadFailure

FOLDER = Path(explain.__file__).parents[1] / "runtimes" / "explainers"
Answer = Callable[[list[list[float]]], Any]


class Predictor:
    """Somebody else's server, over V1: `answer` makes what it says of the rows."""

    def __init__(self) -> None:
        self.answer: Answer = lambda rows: {"predictions": [sum(row) for row in rows]}
        self.status, self.media = 200, "application/json"
        self.asked: list[int] = []
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers = {k.lower(): v for k, v in self.headers.items()}
                outer.asked.append(len(body["instances"]))
                said = json.dumps(outer.answer(body["instances"])).encode()
                self.send_response(outer.status)
                self.send_header("Content-Type", outer.media)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def asking(self, headers: dict[str, str] | None = None, **limits: Any) -> Asking:
        return Asking(Asked(f"127.0.0.1:{self.server.server_port}", **limits), "iris", headers)


@pytest.fixture
def predictor() -> Iterator[Predictor]:
    made = Predictor()
    yield made
    made.server.shutdown()
    made.server.server_close()


# Asking


@pytest.mark.parametrize(("rows", "batches"), [(1, [1]), (4, [4]), (9, [4, 4, 1])])
def test_rows_are_asked_in_batches_and_answered_in_their_order(predictor, rows, batches):
    with predictor.asking(batch_size=4) as asking:
        asked = np.arange(2 * rows, dtype=float).reshape(rows, 2)
        assert asking(asked).tolist() == asked.sum(axis=1).tolist()
        assert asking.rows == rows
    assert predictor.asked == batches


def test_json_under_another_name_is_read_too(predictor):
    """KServe's batcher answers `text/plain`."""
    predictor.media = "text/plain; charset=utf-8"
    with predictor.asking() as asking:
        assert asking(np.ones((2, 3))).tolist() == [3, 3]


def test_the_headers_that_follow_a_request_go_on_to_the_predictor(predictor):
    with predictor.asking({"x-request-id": "seven", "cookie": "mine"}) as asking:
        asking(np.zeros((1, 2)))
    assert predictor.headers["x-request-id"] == "seven"
    assert "cookie" not in predictor.headers


def test_a_request_to_predict_is_handed_on_as_it_is(predictor):
    with predictor.asking() as asking:
        assert asking.predict({"instances": [[1, 2]], "more": 1}) == {"predictions": [3]}


def test_an_explanation_that_takes_too_long_ends(predictor):
    predictor.answer = lambda rows: time.sleep(0.05) or {"predictions": [0.0] * len(rows)}
    with predictor.asking(batch_size=1, explain_seconds=0.2) as asking:
        with pytest.raises(RequestTimeout, match=r"0\.2 s"):
            asking(np.zeros((1000, 1)))
        assert 0 < len(predictor.asked) < 1000


def test_one_that_waits_for_a_single_answer_too_long_ends_too(predictor):
    predictor.answer = lambda rows: time.sleep(3) or {"predictions": [0.0] * len(rows)}
    with (
        predictor.asking(explain_seconds=0.2) as asking,
        pytest.raises(RequestTimeout, match=r"no answer within 0\.2 s"),
    ):
        asking(np.zeros((1, 1)))


WRONG: dict[str, tuple[Answer, str]] = {
    "words": (lambda rows: {"predictions": ["setosa"] * len(rows)}, "setosa.*answers numbers"),
    "too few rows": (lambda _: {"predictions": [1.0]}, "1 rows to 2"),
    "no predictions": (lambda _: {"outputs": []}, "numbers"),
    "rows of different lengths": (lambda _: {"predictions": [[1], [1, 2]]}, "numbers"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_a_predictor_that_answers_something_else_is_named(predictor, case):
    predictor.answer, words = case
    with predictor.asking() as asking, pytest.raises(InferenceError, match=words):
        asking(np.zeros((2, 1)))


def test_a_predictor_that_refuses_is_told_in_its_own_words(predictor):
    predictor.status, predictor.answer = 400, lambda _: {"error": "four numbers are needed"}
    with predictor.asking() as asking, pytest.raises(InferenceError, match="four numbers"):
        asking(np.zeros((2, 1)))


def test_a_predictor_that_is_not_there_is_told_by_its_address():
    nobody = Asking(Asked("127.0.0.1:1"), "iris", None)
    with nobody as asking, pytest.raises(InferenceError, match=r"127\.0\.0\.1:1"):
        asking(np.zeros((1, 1)))


# ART


@pytest.mark.parametrize("label", [1, [1], [0, 1, 0], 1.0])
def test_a_label_is_a_class_or_a_number_for_each(label):
    image, found = art.read_instances({"instances": [[[0, 1], [1, 0]], label]}, 3)
    assert image.shape == (2, 2)
    assert found.tolist() == [[0, 1, 0]]


BAD_IMAGES: dict[str, tuple[Any, str]] = {
    "no dict": ([], "must hold two"),
    "an image alone": ({"instances": [[[1]]]}, "must hold two"),
    "words": ({"instances": [[["a"]], 1]}, "must be numbers"),
    "ragged rows": ({"instances": [[[1], [1, 2]], 1]}, "must be numbers"),
    "a number for an image": ({"instances": [1, 1]}, "shape"),
    "nothing": ({"instances": [[[]], 1]}, "shape"),
    "a class that is none": ({"instances": [[[1]], 3]}, "outside 0 to 2"),
    "a negative class": ({"instances": [[[1]], -1]}, "outside 0 to 2"),
    "two numbers for three classes": ({"instances": [[[1]], [0, 1]]}, "2 numbers"),
}


@pytest.mark.parametrize("case", BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_a_bad_image_or_label_is_the_client_s(case):
    payload, words = case
    with pytest.raises(InvalidInput, match=words):
        art.read_instances(payload, 3)


def test_classes_become_rows_and_scores_stay():
    assert art.one_hot(np.array([2.0, 0.0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    scores = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert art.one_hot(scores, 2) is scores


# SHAP


@pytest.mark.parametrize(
    "instances", [None, [], [1, 2], [[1]], [["a", 1]], [[1, 2], [3]], [[1, float("nan")]]]
)
def test_rows_that_are_unlike_the_background_are_the_client_s(instances):
    payload = [] if instances is None else {"instances": instances}
    with pytest.raises(InvalidInput, match="instances"):
        background.read_rows(payload, 2)


def test_a_background_is_read_with_its_names(tmp_path):
    (tmp_path / "background.csv").write_text("age, height\n1,2\n3,4.5\n")
    names, rows = background.load_background(tmp_path)
    assert (names, rows.tolist()) == (["age", "height"], [[1, 2], [3, 4.5]])
    (tmp_path / "background.csv").unlink()
    np.save(tmp_path / "background.npy", np.zeros((2, 3)))
    assert background.load_background(tmp_path)[0] == ["feature-0", "feature-1", "feature-2"]


BAD_BACKGROUNDS: dict[str, tuple[dict[str, bytes], str]] = {
    "none": ({}, "STORAGE_URI"),
    "an empty file": ({"background.csv": b""}, "no table"),
    "names without rows": ({"background.csv": b"a,b\n"}, "shape"),
    "words in a row": ({"background.csv": b"a,b\n1,x\n"}, "no table"),
    "a row too long": ({"background.csv": b"a,b\n1,2,3\n"}, "2 names"),
    "a pickle": ({"background.npy": b"\x80\x04N."}, "no table"),
}


@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize("case", BAD_BACKGROUNDS.values(), ids=BAD_BACKGROUNDS.keys())
def test_a_background_that_is_none_is_told_when_it_loads(tmp_path, case):
    files, words = case
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadFailure, match=words):
        background.load_background(tmp_path)


# What is declared


def test_each_file_of_an_explainer_is_in_the_table():
    beside = {"__init__", "declaration", "asking", "asking_model", "background", "scores", "bins",
              "segments", "anchor_search", "lime_fit", "lime_settings", "shap_model"}  # fmt: skip
    assert {path.stem for path in FOLDER.glob("*.py")} - beside == set(EXPLAINERS)


@pytest.mark.parametrize("declared", all_explainers(), ids=lambda e: e.name)
def test_each_has_an_image_and_an_extra_with_what_it_needs(declared):
    images = {entry["image"]: entry for entry in read_images()["images"]}
    for image in declared.images:
        assert images[image]["requirements"] == list(declared.requirements)
        assert images[image]["argv"][:4] == [
            "{python}", "-m", "sampan.app.explain", f"--explainer={declared.name}",
        ]  # fmt: skip
    project = tomllib.loads((FOLDER.parents[3] / "pyproject.toml").read_text())
    if not declared.package:
        return  # it needs the model server's own
    extra = project["project"]["optional-dependencies"][declared.name]
    assert set(extra) <= set(declared.requirements)
    assert any(line.startswith(declared.package) for line in extra)


@pytest.mark.parametrize("declared", all_explainers(), ids=lambda e: e.name)
def test_its_arguments_have_defaults_and_no_name_twice(declared):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    explain._add_predictor(parser)
    declared.add_arguments(parser)
    settings = parser.parse_args(["--predictor_host=x"])
    assert declared.make("iris", Asked("x"), settings).name == "iris"


BAD_ARGUMENTS = {
    "an explainer that is none": (["--explainer=alibi"], "alibi"),
    "no predictor": (["--explainer=art"], "--predictor_host"),
    "an attack that is none": (
        ["--explainer=art", "--predictor_host=x", "--adversary_type=Nonsense"], "Nonsense",
    ),
    "batches of nothing": (
        ["--explainer=shap", "--predictor_host=x", "--batch_size=0"], "not 1 or more",
    ),
    "no time at all": (
        ["--explainer=shap", "--predictor_host=x", "--explain_timeout_seconds=0"], "not above 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_wrong_arguments_end_the_start(case, capsys):
    argv, words = case
    with pytest.raises(SystemExit) as ended:
        explain.main(argv)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
