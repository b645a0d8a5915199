"""The examples of explainers: the explanation, and its picture."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "examples"


def fools(told: dict[str, Any]) -> None:
    """Another digit, by an image that is near."""
    assert told["prediction"] == 3
    assert told["adversarial_prediction"] != 3
    assert 0 < told["L2 error"] < 0.4 * 8
    assert [len(row) for row in told["adversarial_example"]] == [8] * 8


def adds_up(told: dict[str, Any]) -> None:
    """A base value and the shares are what the predictor says; body mass weighs most."""
    (shares,), (said,) = told["shap_values"], told["predictions"]
    assert told["base_values"] + sum(shares) == pytest.approx(said, abs=1e-6)
    assert max(zip(shares, told["feature_names"], strict=True))[1] == "bmi"


def adds_up_exactly(told: dict[str, Any]) -> None:
    """The trees are known: the shares are of the very prediction."""
    (shares,), (said,) = told["shap_values"], told["predictions"]
    assert told["base_values"] + sum(shares) == pytest.approx(said, rel=1e-3)
    assert max(zip(shares, told["feature_names"], strict=True))[1] == "bmi"
    assert (told["explainer_type"], told["explains"]) == ("tree", "prediction")


def shows_a_three(told: dict[str, Any]) -> None:
    """What is black in a three speaks for it; the likeliest label is explained first."""
    assert told["top_labels"][0] == 3
    for_it = [w for w, part in zip(told["weights"][0], range(64), strict=True) if part in {4, 45}]
    assert min(for_it) > 0.02
    assert [len(row) for row in told["masks"][0]] == [8] * 8


def weighs_the_kind(told: dict[str, Any]) -> None:
    """A wine of the second kind is pale and has little proline and alcohol."""
    assert told["labels"] == [1]
    named = dict(zip(told["feature_names"], told["weights"][0], strict=True))
    assert sorted(named, key=named.__getitem__)[:3] == ["color intensity", "proline", "alcohol"]
    assert 0.5 < told["scores"][0] <= 1


def rules(told: dict[str, Any]) -> None:
    """Petals decide, and the rule is as precise as was asked for."""
    assert all(name.find("petal") >= 0 for name in told["names"][:1])
    assert told["raw"]["success"]
    assert told["precision"] >= 0.95
    assert 0 < told["coverage"] < 1


def favours(told: dict[str, Any]) -> None:
    """The model learnt that the old are favoured."""
    metrics = told["metrics"]
    assert metrics["disparate_impact"] < 0.7
    assert metrics["statistical_parity_difference"] < -0.2
    assert metrics["num_instances"] == 300 == len(told["predictions"])


CASES: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "20-explainer-art": ("digits", fools),
    "21-explainer-shap": ("diabetes", adds_up),
    "22-explainer-lime-image": ("digits", shows_a_three),
    "23-explainer-lime-table": ("wine", weighs_the_kind),
    "24-explainer-anchors": ("iris", rules),
    "25-explainer-fairness": ("credit", favours),
    "26-explainer-shap-tree": ("diabetes", adds_up_exactly),
}


@dataclass(frozen=True)
class Workplace:
    """The copy of an example, and a Sampan of its own."""

    work: Path
    home: Path

    def run(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """Return what a command prints, "" for one that fails where that may be."""
        bin_ = Path(sys.executable).parent
        env = {
            **os.environ,
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            [str(bin_ / words[0]), *words[1:]], cwd=self.work, env=env, input=stdin,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert not (check and done.returncode), done.stderr + done.stdout
        return "" if done.returncode else done.stdout

    def wait_ready(self, name: str) -> None:
        """A first time installs the library, which takes a while."""
        deadline = time.monotonic() + 200
        while not self.run("sampan", "why", name, check=False):
            assert time.monotonic() < deadline, self.run("sampan", "logs", name)
            time.sleep(0.5)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    made = Workplace(tmp_path / "work", tmp_path / "home")
    yield made
    made.run("sampan", "down")


def flat(values: list[Any]) -> list[float]:
    """Return the numbers of rows, one after the other."""
    return [n for value in values for n in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize("example", CASES)
def test_a_prediction_and_an_explanation_are_given_and_drawn(example, place):
    assert_explained(example, *CASES[example], place)


def assert_explained(
    example: str, name: str, check: Callable[[dict[str, Any]], None], place: Workplace
) -> None:
    """Make the example's model, serve it, ask for a prediction and an explanation, and draw it."""
    shutil.copytree(EXAMPLES / example, place.work, ignore=shutil.ignore_patterns("model"))
    place.run("python", "train.py")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place.run("sampan", "up", "--port", str(port))
    place.run("sampan", "apply", "-f", "isvc.yaml")
    place.wait_ready(name)
    predicted = place.run("sampan", "predict", name, "-f", "request.json")
    expected = json.loads((place.work / "expected.json").read_text())
    assert flat(json.loads(predicted)["predictions"]) == pytest.approx(
        flat(expected["predictions"]), rel=1e-3
    )
    ask = ("sampan", "explain", name, "-f", "explain.json")
    answer = place.run(*ask)
    told = json.loads(answer)
    check(told.get("explanations", told))
    assert place.run(*ask) == answer  # the seed is the same
    drawn = place.run("python", "plot.py", "explain.json", stdin=answer)
    picture = ET.fromstring(drawn)  # noqa: S314  # our own
    assert picture.tag.endswith("svg")
    assert len(picture) >= 8
