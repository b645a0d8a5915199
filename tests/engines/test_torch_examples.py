"""The examples of PyTorch's engines as their READMEs say: made, served by the platform, asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.examples.test_examples import EXAMPLES, answer_as_expected, free_port

pytest.importorskip("torch", reason="torch is not installed: make test-engines")
openai = pytest.importorskip("openai", reason="openai is not installed: make test-engines")
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]
SAMPAN = str(Path(sys.executable).parent / "sampan")


@pytest.mark.parametrize("name", ["12-huggingface", "14-torchserve", "15-pytorch"])
def test_an_example_gives_the_expected_answer(name: str, tmp_path: Path) -> None:
    answer_as_expected(EXAMPLES / name, tmp_path)


@contextmanager
def running(work: Path, home: Path) -> Iterator[str]:
    """Serve the folder's service; give the address of its gateway once the service is ready."""
    port = free_port()
    environ = {**os.environ, "XDG_STATE_HOME": str(home), "NO_COLOR": "1"}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [SAMPAN, "run", "isvc.yaml", "--port", str(port)],
            cwd=work, env=environ, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 800
            while "serving until" not in (home / "log").read_text():
                assert process.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_vllm_serves_behind_the_gateway_and_streams_as_it_goes(tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    home.mkdir()
    shutil.copytree(EXAMPLES / "13-vllm", work, ignore=shutil.ignore_patterns("model"))
    subprocess.run([sys.executable, "train.py"], cwd=work, check=True, capture_output=True)
    request = json.loads((work / "request.json").read_text())
    with running(work, home) as address:
        service = f"{address}/serving/default/tiny"
        client = openai.OpenAI(base_url=f"{service}/v1", api_key="none", timeout=120)
        answer = client.chat.completions.create(**request).model_dump()
        expected = json.loads((work / "expected.json").read_text())
        usage = expected.pop("usage")
        assert {name: answer[name] for name in expected} == expected
        assert {name: answer["usage"][name] for name in usage} == usage
        stream = client.completions.create(
            model="tiny", prompt="a", max_tokens=100, stream=True, extra_body={"ignore_eos": True}
        )
        began = time.monotonic()
        arrivals = [time.monotonic() - began for _ in stream]
        # Held back by anything on the way, the first piece would come with the last.
        assert arrivals[0] < arrivals[-1] * 0.8
        metrics = httpx.get(f"{service}/metrics").text
        assert 'vllm:generation_tokens_total{engine="0",model_name="tiny"}' in metrics
        assert httpx.get(f"{service}/health").status_code == 200
