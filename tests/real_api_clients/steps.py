"""Steps of a program, run in order; each is told as a line `["name", "traceback or nothing"]`."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable

STEPS: list[Callable[[], None]] = []


def step(function: Callable[[], None]) -> Callable[[], None]:
    """Add a function to the steps."""
    STEPS.append(function)
    return function


def run_steps() -> None:
    """Run every step, also after one that went wrong."""
    for function in STEPS:
        told = ""
        try:
            function()
        except Exception:  # noqa: BLE001  # whatever it was, it is what the step tells
            told = traceback.format_exc()
        sys.stdout.write(json.dumps([function.__name__, told]) + "\n")
        sys.stdout.flush()
