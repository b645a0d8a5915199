"""`mlserver infer` of MLServer 1.7.1: many requests from a file, answers into another."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from bench.peers import peer_python
from bench.setting import Setting
from tests.conformance.oip.score import MLSERVER

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("words", [(), ("--binary-data",), ("--batch-size", "5")], ids=str)
def test_a_file_of_requests_is_answered_line_by_line(served, tmp_path, words):
    rows = [[6.8, 2.8, 4.8, 1.4], [5.1, 3.5, 1.4, 0.2]] * 20
    lines = []
    for number, row in enumerate(rows):
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row}
        lines.append(json.dumps({"id": str(number), "inputs": [tensor]}))
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n")
    program = Path(peer_python(Setting(), MLSERVER)).with_name("mlserver")
    done = subprocess.run(
        [program, "infer", "-u", f"127.0.0.1:{served.port}", "-m", "sklearn-iris",
         "-i", "in.txt", "-o", "out.txt", "--workers", "4", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in (tmp_path / "out.txt").read_text().splitlines()]
    told = sorted((one["parameters"]["batch_index"], one["outputs"][0]["data"]) for one in answers)
    assert told == [(number, [1 if number % 2 == 0 else 0]) for number in range(len(rows))]
