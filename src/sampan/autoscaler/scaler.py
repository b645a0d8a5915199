"""The autoscaler of one workload by its requests: what it remembers between two decisions.

Every rule is a pure function elsewhere; here they meet what must be kept: the windows, the panic,
the phase, and the number that was decided last. The simulator runs the very same object.
"""

from __future__ import annotations

from dataclasses import replace

from sampan.autoscaler.bounds import Bounded, Standing, bound, minimum, ready_minimum
from sampan.autoscaler.decide import Decision, Reading, decide, start_memory
from sampan.autoscaler.meter import Meter
from sampan.autoscaler.outcome import Outcome, Seen
from sampan.autoscaler.reason import render_reason
from sampan.autoscaler.settings import Settings
from sampan.autoscaler.signal import Signal, Traffic
from sampan.autoscaler.zero import Activity, Phase, derive_activity, let_idle, turn


class RequestScaler:
    """Decides how many replicas a workload has, from its traffic.

    `ready` replicas that are there at the start are not taken away before a whole stable window
    has shown that they are not needed: whoever decided before may have seen what this one has not.
    `asleep`: it is known to have none because nobody needs one, and stays so.
    """

    def __init__(self, settings: Settings, ready: int, now: float, *, asleep: bool = False) -> None:
        self.settings = settings
        self._signal = Signal(settings.metric, now)
        self._meter = Meter(settings)
        self._memory = start_memory(ready, now)
        self._activity = Activity(_begin(ready, asleep=asleep), now)
        self._initialised = asleep or ready >= ready_minimum(settings, initialised=False)
        self._busy_at = now
        standing = Standing(initialised=self._initialised)
        least = 0 if asleep else min(settings.initial, 1)
        self.current = max(ready, minimum(settings, standing), least)

    def add(self, now: float, traffic: Traffic) -> None:
        """Take a reading of the workload's counters."""
        for second, value in self._signal.add(now, traffic):
            self.record(second, value)

    def record(self, second: float, value: float) -> None:
        """Take the measure of one second."""
        self._meter.record(second, value)
        if value:
            self._busy_at = second

    def poke(self, now: float) -> None:
        """Note the first request of a workload at zero, which no counter shows: it waits."""
        self.record(now, 1.0)

    def is_quiet(self, now: float) -> bool:
        """Tell whether a decision can only repeat the last one: long idle, and at the minimum."""
        idle = now - self._busy_at > self.settings.stable_window + self.settings.scale_down_delay
        resting = self.current == self.settings.minimum and self._memory.panicking_since is None
        return idle and resting

    def decide(self, now: float, seen: Seen) -> Outcome:
        """Return how many replicas there should be; the caller says with `take` what it made of it.

        Nothing is taken away while a replica still loads.
        """
        self._initialised |= seen.ready >= ready_minimum(self.settings, initialised=False)
        reading = self._meter.read(now, seen.ready)
        decision, self._memory = decide(self.settings, reading, self._memory, now)
        bounded = bound(self.settings, decision.desired, Standing(initialised=self._initialised))
        if bounded.replicas == 0:
            idle = self._let_idle(now, seen)
            bounded = Bounded(idle.replicas)
            return replace(idle, reason=self._reason(reading, decision, bounded) + idle.reason)
        reason = self._reason(reading, decision, bounded)
        least = ready_minimum(self.settings, initialised=self._initialised)
        was = self._activity.phase
        self._activity = derive_activity(self._activity, bounded.replicas, seen.ready, least, now)
        if bounded.replicas < self.current and seen.loading:
            text = f"{reason}; none is taken away while {seen.loading} still load"
            return Outcome(self.current, text)
        # Woken from zero, requests are held until a replica can take them.
        hold = seen.ready == 0 and seen.can_hold and (seen.held or was != "Active")
        return Outcome(bounded.replicas, reason, hold=hold)

    def take(self, outcome: Outcome) -> None:
        """Note what was made of a decision."""
        self.current = outcome.replicas

    def _reason(self, reading: Reading, decision: Decision, bounded: Bounded) -> str:
        return render_reason(self.settings, reading, decision, bounded)

    def _let_idle(self, now: float, seen: Seen) -> Outcome:
        """Return what becomes of a workload that nobody asks; the reason is only what is added."""
        if not seen.can_hold:
            return Outcome(1, "; one is kept, for nothing would hold its requests")
        activity = self._activity
        if activity.phase == "Activating" and seen.ready:  # up, and nobody came meanwhile
            activity = turn(activity, "Active", now)
        idle = let_idle(self.settings, activity, now, confirmed=seen.held)
        self._activity = idle.activity
        replicas = min(self.current, 1) if idle.replicas is None else idle.replicas
        if seen.loading and replicas < self.current:
            replicas = self.current
        text = "; kept until none came for a whole window" if replicas else ""
        return Outcome(replicas, text, hold=idle.hold)


def _begin(ready: int, *, asleep: bool) -> Phase:
    """Return the phase of a workload at the first look."""
    if ready:
        return "Active"
    return "Inactive" if asleep else "Activating"
