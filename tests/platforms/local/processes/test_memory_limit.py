"""A memory limit holds for a replica and all that it starts, and says what it did."""

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.memory_limit import (
    POLL_SECONDS,
    REST_SECONDS,
    choose_pause,
    family,
    parse_used,
    show_bytes,
    used_bytes,
)
from sampan.platforms.local.process import ProcessSpec

Make = Callable[..., ProcessSpec]

MIB = 1024**2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are kept by /proc")

TAKES_MEMORY = "import time; x = bytearray(b'x') * (200 << 20); time.sleep(60)"
LETS_A_CHILD_TAKE_IT = f"""
import os, time
if os.fork() == 0:
    {TAKES_MEMORY}
time.sleep(60)
"""
WRITES_LAST_WORDS = f"""
import os
open(os.environ["SAMPAN_TERMINATION_LOG"], "w").write("all is well")
{TAKES_MEMORY}
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(TAKES_MEMORY, id="the process itself"),
        pytest.param(LETS_A_CHILD_TAKE_IT, id="a child of it"),
        pytest.param(WRITES_LAST_WORDS, id="one that wrote other last words"),
    ],
)
async def test_who_uses_more_than_the_limit_is_out_of_memory(
    launcher: Launcher, make: Make, settled: Any, python: tuple[str, ...], program: str
) -> None:
    await launcher.start(make("a", *python, program, memory_limit=64 * MIB))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    ended = state.last_exit
    assert (ended.code, ended.signal, ended.reason) == (137, "SIGKILL", "OOMKilled")
    assert "for its limit is 64 MiB; raise resources.limits.memory" in ended.message


async def test_who_stays_below_lives(
    launcher: Launcher, make: Make, settled: Any, until: Any, python: tuple[str, ...]
) -> None:
    await launcher.start(make("a", *python, TAKES_MEMORY, memory_limit=600 * MIB))
    state = await settled(launcher, "a", lambda s: s.running)
    await until(lambda: used_bytes(state.pid) > 200 * MIB)
    assert launcher.state("a").running
    assert launcher.state("a").last_exit is None


@pytest.mark.parametrize(
    ("before", "used", "pause"),
    [
        pytest.param(100, 100, REST_SECONDS, id="it rests far below its limit"),
        pytest.param(0, 100, POLL_SECONDS, id="it grows"),
        pytest.param(600, 600, POLL_SECONDS, id="it rests near its limit"),
    ],
)
def test_who_rests_is_looked_at_less_often(before: int, used: int, pause: float) -> None:
    assert choose_pause(before * MIB, used * MIB, 1000 * MIB) == pause


def test_anonymous_and_shared_memory_count_and_file_pages_do_not() -> None:
    status = b"VmRSS:\t 900 kB\nRssAnon:\t  100 kB\nRssFile:\t 700 kB\nRssShmem:\t  4 kB\n"
    assert parse_used(status) == 104 * 1024


def test_a_process_that_is_gone_uses_nothing() -> None:
    gone = 2**22 + 1  # above the largest pid of Linux
    assert used_bytes(gone) == 0
    assert list(family(gone)) == [gone]


def test_this_process_uses_something_and_is_of_its_family() -> None:
    assert used_bytes(os.getpid()) > MIB
    assert next(family(os.getpid())) == os.getpid()


@given(st.binary(max_size=200))
def test_any_status_is_read(status: bytes) -> None:
    if b"Rss" not in status:
        assert parse_used(status) == 0


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1610612736, "1.5 GiB"), (2**50, "1024 TiB")],
)
def test_sizes_are_shown_for_people(count: int, shown: str) -> None:
    assert show_bytes(count) == shown
