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


CASES: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "20-explainer-art": ("digits", fools),
    "21-explainer-shap": ("diabetes", adds_up),
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


@pytest.mark.parametrize("example", CASES)
def test_a_prediction_and_an_explanation_are_given_and_drawn(example, place):
    name, check = CASES[example]
    shutil.copytree(EXAMPLES / example, place.work, ignore=shutil.ignore_patterns("model"))
    place.run("python", "train.py")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place.run("sampan", "up", "--port", str(port))
    place.run("sampan", "apply", "-f", "isvc.yaml")
    place.wait_ready(name)
    predicted = place.run("sampan", "predict", name, "-f", "request.json")
    assert json.loads(predicted) == json.loads((place.work / "expected.json").read_text())
    ask = ("sampan", "explain", name, "-f", "explain.json")
    answer = place.run(*ask)
    check(json.loads(answer)["explanations"])
    assert place.run(*ask) == answer  # the seed is the same
    drawn = place.run("python", "plot.py", "explain.json", stdin=answer)
    picture = ET.fromstring(drawn)  # noqa: S314  # our own
    assert picture.tag.endswith("svg")
    assert len(picture) > 20
