"""What the autoscaler of one workload decides from one second to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.autoscaler.outcome import Outcome, Room, Seen, fit
from sampan.autoscaler.scaler import RequestScaler
from sampan.autoscaler.settings import Settings
from sampan.autoscaler.signal import Traffic

TEN = Settings(target=10, total=10, minimum=1, maximum=5, stable_window=20, panic_window=2)
"""Ten requests in flight a replica, from one replica to five."""

SLEEPY = replace(TEN, minimum=0)


class World:
    """A scaler in a world where replicas serve as soon as they are wanted."""

    def __init__(self, settings: Settings, ready: int = 1, *, can_hold: bool = False) -> None:
        self.scaler = RequestScaler(settings, ready, 0.0)
        self.now, self.can_hold, self.held = 0.0, can_hold, False
        self.outcome = Outcome(self.scaler.current, "")

    def run(self, seconds: int, load: float, *, loading: int = 0) -> list[int]:
        """Return the number of replicas after each decision, one each 2 s."""
        sizes = []
        for _ in range(seconds):
            self.now += 1
            self.scaler.record(self.now, load)
            if self.now % 2 == 0:
                ready = self.scaler.current - loading
                seen = Seen(ready, loading, held=self.held, can_hold=self.can_hold)
                self.outcome = self.scaler.decide(self.now, seen)
                self.scaler.take(self.outcome)
                self.held = self.outcome.hold
                sizes.append(self.scaler.current)
        return sizes


def test_load_raises_the_number_and_its_end_lowers_it() -> None:
    world = World(TEN)
    assert world.run(10, 30)[-1] == 3
    sizes = world.run(60, 0)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


def test_it_stays_between_its_bounds() -> None:
    world = World(TEN)
    assert world.run(10, 1000)[-1] == 5
    assert "max-scale decides" in world.outcome.reason
    assert World(replace(TEN, minimum=2), ready=0).run(2, 0) == [2]


def test_nothing_is_taken_away_while_a_replica_loads() -> None:
    world = World(TEN)
    world.run(10, 30)
    assert set(world.run(60, 0, loading=1)) == {3}
    assert "while 1 still load" in world.outcome.reason
    assert world.run(60, 0)[-1] == 1


def test_after_a_restart_replicas_are_kept_for_a_whole_window() -> None:
    world = World(TEN, ready=4)
    assert set(world.run(20, 0)) == {4}
    assert world.run(30, 0)[-1] == 1


def test_without_someone_who_holds_requests_one_is_kept() -> None:
    world = World(SLEEPY)
    assert world.run(120, 0)[-1] == 1
    assert "nothing would hold its requests" in world.outcome.reason


def test_requests_are_held_before_the_last_replica_goes() -> None:
    world = World(SLEEPY, can_hold=True)
    seen: list[tuple[int, bool]] = []
    for _ in range(60):
        world.run(2, 0)
        seen.append((world.outcome.replicas, world.outcome.hold))
    assert (1, True) in seen
    assert seen.index((1, True)) < seen.index((0, True))
    assert seen[-1] == (0, True)
    assert (0, False) not in seen


def test_a_request_for_none_that_runs_is_decided_at_once() -> None:
    world = World(SLEEPY, can_hold=True)
    world.run(120, 0)
    world.scaler.poke(world.now + 0.1)
    outcome = world.scaler.decide(world.now + 0.1, Seen(0, held=True, can_hold=True))
    assert (outcome.replicas, outcome.hold) == (1, True)
    world.scaler.take(outcome)
    served = world.scaler.decide(world.now + 2, Seen(1, held=True, can_hold=True))
    assert (served.replicas, served.hold) == (1, False)


def test_what_rests_is_passed_over_until_it_is_asked_again() -> None:
    world = World(TEN)
    world.run(10, 30)
    assert not world.scaler.is_quiet(world.now)
    world.run(80, 0)
    assert world.scaler.is_quiet(world.now)
    for now, active in ((world.now + 0.2, 5), (world.now + 1.2, 5)):
        world.scaler.add(now, Traffic(active, 5))
    assert not world.scaler.is_quiet(world.now + 2)


ROOMS = {
    "all fit": (4, Room(9, "x"), 2, 4),
    "some fit": (4, Room(3, "x"), 2, 3),
    "what runs is never cut": (4, Room(1, "x"), 2, 2),
    "fewer are wanted than run": (1, Room(0, "x"), 2, 1),
    "nothing is known of the machine": (4, None, 2, 4),
}


@pytest.mark.parametrize("row", ROOMS)
def test_the_machine_s_room(row: str) -> None:
    wanted, room, current, expected = ROOMS[row]
    outcome = fit(Outcome(wanted, "because"), room, current)
    assert outcome.replicas == expected
    assert bool(outcome.limited) is (expected < wanted)


def test_what_the_machine_lacks_is_said_with_its_numbers() -> None:
    outcome = fit(Outcome(4, "because"), Room(2, "one takes 1.0 GiB"), 1)
    assert outcome.limited == "4 replicas are wanted and 2 fit: one takes 1.0 GiB"
