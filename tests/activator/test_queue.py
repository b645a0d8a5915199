"""Who waits and who may go: order, depth, concurrency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.activator.queue import QUEUE_DEPTH, Queue, select_count


def test_ten_thousand_may_wait_and_not_one_more() -> None:
    queue: Queue[int] = Queue()
    assert all(queue.join(number) for number in range(QUEUE_DEPTH))
    assert not queue.join(QUEUE_DEPTH)
    assert len(queue) == 10_000


def test_a_place_that_is_left_can_be_taken() -> None:
    queue: Queue[str] = Queue(limit=2)
    queue.join("a")
    queue.join("b")
    assert queue.leave("a")
    assert queue.join("c")
    assert queue.take(5) == ("b", "c")


def test_who_waits_no_more_cannot_leave() -> None:
    queue: Queue[str] = Queue()
    queue.join("a")
    queue.take(1)
    assert not queue.leave("a")


GO = [
    ("nothing can be reached: nobody goes", (0, 0, 0, 7), 0),
    ("nothing can be reached, whatever the limit: nobody goes", (0, 4, 0, 7), 0),
    ("no limit: all go", (1, 0, 500, 7), 7),
    ("one at once and none under way: one goes", (1, 1, 0, 7), 1),
    ("one at once and one under way: nobody goes", (1, 1, 1, 7), 0),
    ("two endpoints of three: what is free", (2, 3, 4, 7), 2),
    ("more free than wait: all go", (2, 10, 0, 7), 7),
    ("more under way than allowed: nobody goes", (1, 2, 5, 7), 0),
]


@pytest.mark.parametrize(("asked", "count"), [row[1:] for row in GO], ids=[row[0] for row in GO])
def test_how_many_go(asked: tuple[int, int, int, int], count: int) -> None:
    assert select_count(*asked) == count


@given(
    endpoints=st.integers(0, 9),
    concurrency=st.integers(0, 9),
    busy=st.integers(0, 99),
    waiting=st.integers(0, 99),
)
def test_nobody_goes_who_does_not_wait_and_no_endpoint_gets_more_than_it_takes(
    endpoints: int, concurrency: int, busy: int, waiting: int
) -> None:
    count = select_count(endpoints, concurrency, busy, waiting)
    assert 0 <= count <= waiting
    if concurrency and count:
        assert busy + count <= endpoints * concurrency


@given(st.lists(st.one_of(st.integers(0, 20), st.tuples(st.integers(0, 5))), max_size=60))
def test_whoever_stays_goes_in_the_order_of_coming_and_once(events: list[object]) -> None:
    """A number joins, or leaves where it waits already; a tuple takes so many out."""
    queue: Queue[object] = Queue()
    model: list[object] = []
    for event in events:
        if isinstance(event, tuple):
            count = event[0]
            assert queue.take(count) == tuple(model[:count])
            del model[:count]
        elif event in model:
            assert queue.leave(event)
            model.remove(event)
        else:
            assert queue.join(event)
            model.append(event)
    assert queue.take(len(queue)) == tuple(model)
