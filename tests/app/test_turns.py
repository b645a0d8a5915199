"""Threads of the daemon have their turns soon, and nobody else's turns are changed."""

from __future__ import annotations

import sys

import pytest

from sampan.app.turns import TURN_SECONDS, short_turns


def test_turns_are_short_while_the_daemon_runs_and_as_before_afterwards() -> None:
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(TURN_SECONDS)
    assert sys.getswitchinterval() == pytest.approx(before)
