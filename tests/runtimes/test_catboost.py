"""The CatBoost runtime, in the environment that the platform builds for it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "format_servers", Path(__file__).with_name("format_servers.py")
)
servers = importlib.util.module_from_spec(_SPEC)
sys.modules["format_servers"] = servers
_SPEC.loader.exec_module(servers)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_answers_batches_damage_and_categories(tmp_path):
    script = Path(__file__).with_name("catboost_checks.py")
    command = [servers.engine_python("catboost"), str(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.stdout.endswith("all checks hold\n"), ended.stdout + ended.stderr
