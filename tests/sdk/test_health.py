"""A model's own `healthy()` decides whether it gets requests."""

from __future__ import annotations

import time

import pytest

MODEL = """
from pathlib import Path

from kserve import Model


class M(Model):
    {signature}
        state = Path("state").read_text()
        if state == "raise":
            raise OSError("no database")
        if state == "hang":
            import time
            time.sleep(60)
        return self.ready and state == "well"

    def predict(self, payload, headers=None):
        return {{"predictions": []}}
"""
ROWS = {"instances": []}


def wait(served, path, status, seconds=20):
    end = time.monotonic() + seconds
    while (answer := served.ask(path))[0] != status:
        assert time.monotonic() < end, (answer, served.text)
        time.sleep(0.05)
    return answer[1]


@pytest.mark.parametrize(
    "signature", ["async def healthy(self):", "def healthy(self):"], ids=["async", "plain"]
)
def test_a_model_that_says_no_gets_no_requests_until_it_says_yes(serve, tmp_path, signature):
    (tmp_path / "m.py").write_text(MODEL.format(signature=signature))
    (tmp_path / "state").write_text("well")
    served = serve("m.py:M")
    wait(served, "/v2/health/ready", 200)
    assert served.ask("/v1/models/m:predict", ROWS)[0] == 200
    (tmp_path / "state").write_text("ill")
    told = wait(served, "/v1/models/m", 503)
    assert told == {"error": "Model with name m is not ready. healthy() says no"}
    assert served.ask("/v1/models/m:predict", ROWS)[0] == 503
    assert served.ask("/v2/health/ready")[0] == 503
    assert served.ask("/v2/repository/index", {})[1][0]["state"] == "NotReady"
    (tmp_path / "state").write_text("well")
    wait(served, "/v2/models/m/ready", 200)
    assert served.ask("/v1/models/m:predict", ROWS)[0] == 200


def test_a_model_that_is_ill_from_the_start_is_never_ready(serve, tmp_path):
    (tmp_path / "m.py").write_text(MODEL.format(signature="async def healthy(self):"))
    (tmp_path / "state").write_text("raise")
    served = serve("m.py:M")
    served.said('"m" is not healthy: healthy.. raised OSError: no database')
    assert served.ask("/v2/health/ready")[0] == 503
    assert "no database" in served.ask("/v1/models/m")[1]["error"]


def test_a_healthy_that_hangs_harms_no_other_request(serve, tmp_path):
    (tmp_path / "m.py").write_text(MODEL.format(signature="def healthy(self):"))
    (tmp_path / "state").write_text("well")
    served = serve("m.py:M")
    wait(served, "/v2/health/ready", 200)
    (tmp_path / "state").write_text("hang")
    told = wait(served, "/v1/models/m", 503)
    assert "healthy() gave no answer in 5 s" in told["error"]
    assert served.ask("/v2/health/live")[0] == 200
    served.process.kill()
