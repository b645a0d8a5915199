"""Whatever is edited, killed, lost, restarted, and however time goes: in the end what is observed
is what is desired, and the conditions say so.

The controllers, the plan and the local platform are real; at their edges stands `PlayedWorld`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from .played_world import PlayedWorld

NAMES = st.sampled_from(["a", "b"])
STOP = "serving.kserve.io/stop"
CONVERGE_SECONDS = 400
"""Longer than the longest back-off there can be in a history and than the farthest jump back."""


@dataclass(frozen=True)
class Wanted:
    """What a person wants of a service."""

    version: int = 0
    replicas: int = 1
    stopped: bool = False
    known_format: bool = True

    @property
    def spec(self) -> dict[str, Any]:
        model = {
            "modelFormat": {"name": "sklearn" if self.known_format else "nonsense"},
            "storageUri": "s3://models/iris",
            "env": [{"name": "VERSION", "value": str(self.version)}],
        }
        size = {"minReplicas": self.replicas, "maxReplicas": self.replicas}
        return {"predictor": {**size, "model": model}}

    @property
    def annotations(self) -> dict[str, str]:
        mode = {"serving.kserve.io/deploymentMode": "Standard"}
        return {**mode, STOP: "true"} if self.stopped else mode


class Histories(RuleBasedStateMachine):
    """One history: what a person, the machine and fate do."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="sampan-history-")
        self.wanted: dict[str, Wanted] = {}
        self.versions = 0
        self.ending: set[str] = set()
        """Services that were stopped or deleted a moment ago: it may still be on its way."""

    @initialize()
    def start(self) -> None:
        async def make() -> PlayedWorld:
            world = PlayedWorld(Path(self.folder.name))
            await world.up()
            return world

        self.world = self.do(make())
        self.world.processes.may_stop = self.may_stop

    def may_stop(self, name: str) -> bool:
        return name not in self.wanted or name in self.ending

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    def want(self, name: str, wanted: Wanted) -> None:
        self.wanted[name] = wanted
        if wanted.stopped:
            self.ending.add(name)
        self.do(self.world.put(name, wanted.spec, wanted.annotations))

    @rule(name=NAMES, replicas=st.integers(1, 2))
    def create_or_scale(self, name: str, replicas: int) -> None:
        if name not in self.wanted and self.do(self.world.get(name)) is not None:
            return  # it is still on its way out
        self.want(name, replace(self.wanted.get(name, Wanted()), replicas=replicas))

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), change=st.sampled_from(["version", "stopped", "known_format"]))
    def edit(self, data: Any, change: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.wanted)))
        wanted = self.wanted[name]
        self.versions += 1
        value = self.versions if change == "version" else not getattr(wanted, change)
        self.want(name, replace(wanted, **{change: value}))

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.wanted)))
        del self.wanted[name]
        self.ending.add(name)
        self.do(self.world.delete(name))

    @precondition(lambda self: any(s.running for s in self.world.processes.states()))
    @rule(data=st.data())
    def kill(self, data: Any) -> None:
        running = [s.spec.replica for s in self.world.processes.states() if s.running]
        self.world.processes.kill(data.draw(st.sampled_from(running)))

    @rule(expired=st.booleans())
    def lose_watches(self, expired: bool) -> None:
        self.world.store.cut(expired=expired)

    @rule()
    def restart(self) -> None:
        self.do(self.world.down())
        self.do(self.world.up())

    @rule(seconds=st.sampled_from([0.2, 1.0, 3.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self.do(self.world.advance(seconds))
        if seconds >= 3.0:
            self.ending = {n for n in self.ending if self.may_end(n)}

    def may_end(self, name: str) -> bool:
        wanted = self.wanted.get(name)
        return wanted is None or wanted.stopped

    @rule(seconds=st.sampled_from([-60.0, -2.0, 2.0, 60.0, 86_400.0]))
    def jump(self, seconds: float) -> None:
        self.world.time.epoch += seconds

    @rule(fails=st.booleans())
    def reach_the_models(self, fails: bool) -> None:
        self.world.fetch_fails = fails

    @invariant()
    def the_last_that_answers_is_never_stopped_by_an_edit(self) -> None:
        if hasattr(self, "world"):
            assert self.world.processes.outages == []

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.fetch_fails = False
            try:
                self.do(self.converge())
                self.do(self.rest())
            finally:
                self.do(self.world.down())
                self.do(self.world.store.close())
        self.loop.close()
        self.folder.cleanup()

    async def converge(self) -> None:
        """Let time pass until all is as wanted."""
        missing = [""]
        for _ in range(CONVERGE_SECONDS // 4):
            await self.world.advance(4.0)
            missing = [m for n in ("a", "b") for m in await self.missing(n)]
            if not missing:
                return
        raise AssertionError("\n".join(missing))

    async def rest(self) -> None:
        """Decided anew, nothing is done and nothing is written."""
        await self.world.advance(15.0)  # what was just decided has been read back
        calls, version = self.world.processes.calls, self.version()
        for name in ("a", "b"):
            self.world.touch(name)
        await self.world.advance(5.0)
        assert (self.world.processes.calls, self.version()) == (calls, version)

    def version(self) -> int:
        return self.world.store._history.version  # one number of the whole store

    async def missing(self, name: str) -> list[str]:
        """Return what is not as wanted of a service."""
        wanted, found = self.wanted.get(name), await self.world.get(name)
        states = [s for s in self.world.processes.states() if s.spec.service.name == name]
        routed = self.world.door.endpoints(f"default/{name}")
        if wanted is None:
            left = [("stored", found is not None), ("runs", bool(states)), ("routed", bool(routed))]
            return [f"{name}: deleted and still {what}" for what, there in left if there]
        assert found is not None
        status = found.get("status") or {}
        told = {c["type"]: c["status"] for c in status.get("conditions", ())}
        problems = []
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            problems.append(f"{name}: generation {found['metadata']['generation']} not observed")
        serves = any(s.ready and not s.draining for s in states) and bool(routed)
        if (told.get("Ready") == "True") != serves:
            problems.append(f"{name}: Ready is {told.get('Ready')}, and it serves: {serves}")
        if wanted.stopped:
            problems += [f"{name}: stopped and still runs {s.spec.replica}" for s in states]
        elif not wanted.known_format:  # what served before goes on, and this is said
            if status["modelStatus"]["transitionStatus"] != "InvalidSpec":
                problems.append(f"{name}: its model is {status['modelStatus']}")
        else:
            problems += self.not_serving(name, wanted, states, told)
            if routed != self.world.processes.alive() & routed or not routed:
                problems.append(f"{name}: routed to {routed}")
        return problems

    def not_serving(
        self, name: str, wanted: Wanted, states: list[Any], told: dict[str, str]
    ) -> list[str]:
        versions = [s.spec.env.get("VERSION") for s in states if s.ready and not s.draining]
        problems = []
        if versions != [str(wanted.version)] * wanted.replicas or len(states) != wanted.replicas:
            problems.append(f"{name}: {wanted}, and what runs is {versions} of {len(states)}")
        if told.get("Ready") != "True" or told.get("PredictorReady") != "True":
            problems.append(f"{name}: it serves, and its conditions are {told}")
        return problems


def play(histories: int, steps: int, *, same: bool) -> None:
    """Play as many histories; the `same` ones each time, or others."""
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            derandomize=same,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_fifty_histories_end_as_desired() -> None:
    play(histories=50, steps=15, same=True)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_thousand_histories_end_as_desired() -> None:
    play(histories=1000, steps=30, same=False)
