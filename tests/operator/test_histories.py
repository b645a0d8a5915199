"""Random histories of a cluster end as was asked for.

At the end of each, what is there is exactly what a quiet operator makes, nothing belongs to what is
gone, no template was changed without a reason, and another operator finds nothing to write.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.operator.history import ANSWERS, IMAGES, NAMES, History

names, images = st.sampled_from(NAMES), st.sampled_from(IMAGES)
small = st.integers(0, 9)


class Histories(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    history: History

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.history = History(seed)

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.history.end()

    @rule(name=names, image=images)
    def create(self, name: str, image: str) -> None:
        self.history.create(name, image)

    @rule(name=names, image=images)
    def edit(self, name: str, image: str) -> None:
        self.history.edit(name, image)

    @rule(name=names)
    def toggle(self, name: str) -> None:
        self.history.toggle(name)

    @rule(name=names)
    def delete(self, name: str) -> None:
        self.history.delete(name)

    @rule(name=names, image=images)
    def remake(self, name: str, image: str) -> None:
        self.history.delete(name)
        self.history.wait(0.01)
        self.history.create(name, image)

    @rule(name=names)
    def spoil(self, name: str) -> None:
        self.history.spoil(name)

    @rule(number=small)
    def lose_child(self, number: int) -> None:
        self.history.lose_child(number)

    @rule(what=st.sampled_from(sorted(ANSWERS)), after=small, times=st.integers(1, 5))
    def refuse(self, what: str, after: int, times: int) -> None:
        self.history.refuse(what, after, times)

    @rule()
    def lose_answer(self) -> None:
        self.history.lose_answer()

    @rule()
    def silence(self) -> None:
        self.history.silence()

    @rule()
    def cut(self) -> None:
        self.history.cut()

    @rule(told=st.booleans())
    def vanish(self, told: bool) -> None:
        self.history.vanish(told)

    @rule()
    def appear(self) -> None:
        self.history.appear()

    @rule(shift=st.sampled_from((0.0, -7200.0, 7200.0)))
    def start(self, shift: float) -> None:
        if len(self.history.operators) < 3:
            self.history.start(shift)

    @rule(number=small)
    def kill(self, number: int) -> None:
        self.history.kill(number)

    @rule(number=small)
    def stop(self, number: int) -> None:
        self.history.stop(number)

    @rule(seconds=st.sampled_from((-7200.0, -30.0, 30.0, 7200.0)))
    def jump(self, seconds: float) -> None:
        self.history.jump(seconds)

    @rule(seconds=st.sampled_from((0.0, 0.001, 0.01, 0.5, 20.0)))
    def wait(self, seconds: float) -> None:
        self.history.wait(seconds)


@contextmanager
def silence() -> Iterator[None]:
    """What goes wrong is logged at each try: tens of thousands of lines."""
    log = logging.getLogger("sampan")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


@silence()
def check(count: int, *, fresh: bool = False) -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=count,
            stateful_step_count=25,
            deadline=None,
            derandomize=not fresh,
            suppress_health_check=tuple(HealthCheck),
            print_blob=fresh,
        ),
    )


def test_some_histories_end_as_was_asked_for() -> None:
    check(5)


@pytest.mark.slow
def test_many_histories_end_as_was_asked_for() -> None:
    check(40)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_thousand_histories_end_as_was_asked_for() -> None:
    check(1000, fresh=True)
