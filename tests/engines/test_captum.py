"""Captum in real PyTorch: by gradients and by asking, against what is known of attributions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
from tests.examples.test_examples import EXAMPLES, free_port
from tests.examples.test_explainers import Workplace, assert_explained, place  # noqa: F401  # a fixture

pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytest.importorskip("captum", reason="captum is not installed: make test-engines")
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

EXAMPLE = EXAMPLES / "27-explainer-captum"
IMAGE = json.loads((EXAMPLE / "explain.json").read_text())
Explain = Callable[..., dict[str, Any]]


@contextmanager
def running(port: int, *words: str) -> Iterator[None]:
    """Run a server until it answers that it is ready; end it afterwards."""
    process = subprocess.Popen([sys.executable, "-m", *words, f"--http_port={port}"])
    try:
        deadline = time.monotonic() + 300
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def explain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explain]:
    """`explain("Saliency", payload)`: the predictor of the example, and an explainer of a type."""
    folder = tmp_path_factory.mktemp("captum")
    (folder / "train.py").write_text((EXAMPLE / "train.py").read_text())
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, capture_output=True)
    model = f"--model_dir={folder / 'model'}"
    with ExitStack() as stack:
        predictor = free_port()
        words = ("sampan.app.serve", "--runtime=pytorch", "--model_name=digits", "--grpc_port=0")
        stack.enter_context(running(predictor, *words, model))
        ports: dict[str, int] = {}

        def ask(kind: str, payload: Any = IMAGE) -> dict[str, Any]:
            if kind not in ports:
                ports[kind] = free_port()
                own = ("sampan.app.explain", "--explainer=captum", f"--explainer_type={kind}")
                asked = (f"--predictor_host=127.0.0.1:{predictor}", "--predictor_protocol=v2")
                rest = ("--input_name=images", "--model_name=digits", "--grpc_port=0")
                stack.enter_context(running(ports[kind], *own, model, *asked, *rest))
            request = urllib.request.Request(
                f"http://127.0.0.1:{ports[kind]}/v1/models/digits:explain",
                json.dumps(payload).encode(),
                {"content-type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as refused:
                return dict(json.load(refused))

        yield ask


def test_shares_along_the_way_from_black_add_up_to_what_the_way_changes(explain):
    told = explain("IntegratedGradients")["explanations"]
    assert told["targets"] == [3]
    said = told["predictions"][0][3]
    assert said > 0.9
    assert np.shape(told["attributions"]) == (1, 8, 8)
    assert 0.7 < np.sum(told["attributions"]) < 1.1  # a black image is hardly a three
    assert explain("IntegratedGradients")["explanations"] == told


def test_asking_the_predictor_finds_what_the_gradients_find(explain):
    by_gradients = np.ravel(explain("IntegratedGradients")["explanations"]["attributions"])
    by_asking = np.ravel(explain("FeatureAblation")["explanations"]["attributions"])
    assert np.corrcoef(by_gradients, by_asking)[0, 1] > 0.5
    assert (by_asking[np.ravel(IMAGE["instances"]) == 0] == 0).all()  # black already


@pytest.mark.parametrize("kind", ["Saliency", "Occlusion"])
def test_each_method_answers_in_the_form_of_the_instances(explain, kind):
    told = explain(kind)["explanations"]
    assert np.shape(told["attributions"]) == (1, 8, 8)
    assert np.any(told["attributions"])


def test_instances_of_no_shape_are_the_client_s(explain):
    assert "all of one shape" in explain("Saliency", {"instances": [[1], [1, 2]]})["error"]
    assert "finite numbers" in explain("Saliency", {"instances": [1, 2]})["error"]


def adds_up(told: dict[str, Any]) -> None:
    """What the pixels give adds up to about what is said of a three, and black gives nothing."""
    assert told["targets"] == [3]
    assert 0.7 < np.sum(told["attributions"]) < 1.1


def test_the_example_runs_through_the_platform(place: Workplace) -> None:  # noqa: F811  # the fixture
    assert_explained(EXAMPLE.name, "digits", adds_up, place)
