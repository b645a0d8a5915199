"""How long a server takes from the start of its process to its first right answer."""

from __future__ import annotations

import time

from bench.ask import Ask
from bench.servers import Command, serving
from bench.setting import Setting


def seconds_to_answer(setting: Setting, ask: Ask, command: Command) -> float:
    """Start a server, wait for a right answer, end it; return the seconds to the answer."""
    began = time.perf_counter()
    with serving(setting, ask, command):
        return time.perf_counter() - began
