"""What a process and its children use, as the kernel counts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from sampan.platforms.local.usage import PROC, observe_usage, parse_memory, parse_stat, select_tree

pytestmark = pytest.mark.skipif(not PROC.joinpath("self/stat").exists(), reason="no /proc here")


def test_a_name_with_blanks_and_brackets_hides_no_field():
    stat = "42 (a (b) c) S 7 42 42 0 -1 4194304 1 0 0 0 100 50 0 0 20 0 1 0 5 0 0"
    parent, seconds = parse_stat(stat)
    assert parent == 7
    assert seconds == 150 / os.sysconf("SC_CLK_TCK")


def test_memory_is_the_share_of_the_process():
    assert parse_memory("00400000-7fff ---p [rollup]\nRss:  300 kB\nPss:  120 kB\n") == 120 * 1024


def test_a_tree_is_a_process_and_all_below_it():
    assert select_tree(2, {1: 0, 2: 1, 3: 2, 4: 3, 5: 1}) == {2, 3, 4}


def test_a_child_counts_to_its_parent():
    block = "x = b'1' * 40_000_000; print(flush=True); input()"
    run = f'import subprocess, sys; subprocess.run([sys.executable, "-c", "{block}"])'
    with subprocess.Popen(
        [sys.executable, "-c", run], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        usage = observe_usage([process.pid])[process.pid]
        process.communicate(b"\n")
    assert usage.memory_bytes > 40_000_000
    assert usage.cpu_seconds > 0


def test_a_process_that_is_gone_is_left_out():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert observe_usage([process.pid]) == {}


def test_cpu_grows_while_something_is_done():
    before = observe_usage([os.getpid()])[os.getpid()].cpu_seconds
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert observe_usage([os.getpid()])[os.getpid()].cpu_seconds > before
