"""Who computes in Python shares the interpreter with the loop that answers health."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.ask import Ask
from bench.processes import wait_first_answer
from bench.servers import ours_file, serving
from bench.setting import Setting

MODEL = """
import sys
from kserve import Model, ModelServer

class Told(Model):
    def load(self):
        self.ready = True
        return True

    def predict(self, payload, headers=None):
        return {"predictions": [sys.getswitchinterval()]}

if __name__ == "__main__":
    model = Told("told")
    model.load()
    ModelServer().start([model])
"""
ASK = Ask("/v1/models/told:predict", b'{"instances": [[1]]}')


@pytest.mark.parametrize(
    "arguments",
    [pytest.param((), id="one process"), pytest.param(("--workers=2",), id="workers")],
)
def test_a_model_gives_up_the_interpreter_after_a_millisecond(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "told.py"
    file.write_text(MODEL)
    with serving(Setting(), ASK, ours_file(Setting(), str(file), *arguments)) as (side,):
        answer = json.loads(wait_first_answer(side.http + ASK.path, ASK.body, None))
    assert 0 < answer["predictions"][0] <= 0.001
