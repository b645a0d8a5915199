"""Schemathesis reads our OpenAPI and asks what it allows, and what it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from bench.peers import peer_python
from bench.setting import Setting
from tests.fuzz.fuzz_run import SEED

SCHEMATHESIS = ("schemathesis==4.4.4", "hypothesis==6.131.0")
"""With the Hypothesis of its time: newer ones lack an inner class that it uses."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_answer_is_one_that_the_document_promises(target):
    """Left out are `:explain`, for which 501 is KServe's answer of models that cannot, and a model
    that answers V1 with whatever it was sent."""
    program = Path(peer_python(Setting(), SCHEMATHESIS)).with_name("schemathesis")
    asked = ["--phases=examples,coverage,fuzzing", f"--checks={','.join(CHECKS)}",
             "--exclude-path-regex=:explain|echo:predict", "--max-examples=25",
             f"--seed={SEED}", "--request-timeout=5", "--no-color"]  # fmt: skip
    done = subprocess.run(
        [program, "run", f"http://127.0.0.1:{target.port}/openapi.json", *asked],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
