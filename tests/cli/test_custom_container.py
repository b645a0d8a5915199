"""A container of one's own whose command runs a model file written for KServe, by the daemon."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MODEL = """
import argparse

from kserve import Model, ModelServer, model_server


class Hello(Model):
    def __init__(self, name):
        super().__init__(name)
        self.load()

    def load(self):
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": [f"hello, {who}" for who in payload["instances"]]}


parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    ModelServer().start([Hello(args.model_name)])
"""
SERVICE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: hello}}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: example/hello:v1
        workingDir: {folder}
        command: [{python}, my_model.py]
        args: [--model_name=hello]
"""


@pytest.fixture
def hello(here: Path, cli: Callable[..., Any]) -> Iterator[str]:
    """The name of a service that runs the file above."""
    (here / "my_model.py").write_text(MODEL)
    text = SERVICE.format(folder=here, python=sys.executable)
    (here / "hello.yaml").write_text(text)
    assert cli("apply", "-f", "hello.yaml").code == 0
    yield "hello"
    cli("delete", "isvc", "hello")


def test_the_file_runs_unchanged_on_the_port_that_it_is_given(
    hello: str, cli: Callable[..., Any]
) -> None:
    limit = time.monotonic() + 60
    while (why := cli("why", hello)).code:
        assert time.monotonic() < limit, why.out
        time.sleep(0.2)
    done = cli("predict", hello, "-d", '{"instances": ["you"]}')
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"predictions": ["hello, you"]}
