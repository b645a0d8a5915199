"""Engines' threads share the machine: they sleep while they wait, unless it is said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sampan.runtimes import all_runtimes

CODE = "import sampan.app.serve, os; print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("said", "told"), [("", "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_what_waits_sleeps_unless_the_user_says_otherwise(said, told):
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env |= {"OMP_WAIT_POLICY": said} if said else {}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == told


@pytest.mark.parametrize("runtime", all_runtimes(), ids=lambda runtime: runtime.name)
def test_a_zygote_hears_of_it_before_the_engine_is_there(runtime):
    engines = [n for n in runtime.preload if not n.startswith("sampan")]
    ours = runtime.preload.index("sampan.app.serve")
    assert {n for n in engines if runtime.preload.index(n) < ours} <= {
        "numpy", "orjson", "httptools", "uvloop", "hpack", "simdjson",
    }  # fmt: skip
