"""`sampan explain` before it asks anybody: what it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

WRONG = {
    "no request": ([], "give the request"),
    "two requests": (["-d", "{}", "-f", "x"], "give the request"),
    "a form that is none": (["-d", "{}", "-o", "xml"], '-o "xml"'),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_is_told(case):
    words, expected = case
    code = "from sampan.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "explain", "iris", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert expected in done.stderr
