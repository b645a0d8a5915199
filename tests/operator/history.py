"""What may happen to services, their objects, operators and the API server, one thing at a time.

A history is played in virtual time; afterwards everything is healed, and what is there must be
exactly what an operator makes that never saw anything go wrong.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from functools import cache
from typing import Any

import httpx2
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import WRITES, is_ready
from tests.operator.test_golden import shown
from tests.operator.virtual_cluster import VirtualCluster, nothing, virtual_cluster
from tests.operator.virtual_time import VirtualLoop, run_virtually

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import ApiError, Conflict, Expired, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.operator import Operator
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, HTTP_ROUTES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
STOP = "serving.kserve.io/stop"
NAMES = ("one", "two")
IMAGES = ("server:1", "server:2", "server:3")
DELAYS = (0.0, 0.0, 0.0, 0.002, 0.02, 0.3)
"""Seconds that a call may take on its way: changes overtake each other."""
SPOILT = "spoilt:latest"


class Told(ApiError):
    """An answer of a given code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the history says {code}")
        self.code, self.reason = code, reason


ANSWERS: dict[str, ApiError] = {
    "conflict": Conflict("changed meanwhile"),
    "expired": Expired("too old resource version"),
    "too many": Told(429, "TooManyRequests"),
    "broken": Told(500, "InternalError"),
    "full": Told(500, "etcdserver: mvcc: database space exceeded"),
    "away": Told(503, "ServiceUnavailable"),
    "late": Told(504, "Timeout"),
}


def make_service(name: str, image: str, *, stopped: bool) -> JsonObject:
    made: JsonObject = json.loads(json.dumps(IRIS))
    made["metadata"] = {"name": name, "namespace": "ml"}
    made["spec"]["predictor"]["model"]["image"] = image
    if stopped:
        made["metadata"]["annotations"] = {STOP: "true"}
    return made


def told_status(service: JsonObject) -> dict[str, Any]:
    """What a status says that does not depend on what happened before."""
    status = service.get("status") or {}
    conditions = {
        c["type"]: (c["status"], c.get("reason"), c.get("message"))
        for c in status.get("conditions") or ()
    }
    return {"conditions": conditions, "url": status.get("url"), "address": status.get("address")}


def pictured(objects: Iterable[JsonObject]) -> dict[tuple[str, str], JsonObject]:
    return {(o["kind"], o["metadata"]["name"]): shown(o) for o in objects}


@cache
def expected(name: str, image: str, stopped: bool) -> tuple[dict[Any, JsonObject], dict[str, Any]]:
    """The objects and the status of a service in a quiet cluster."""

    async def quiet() -> tuple[dict[Any, JsonObject], dict[str, Any]]:
        async with virtual_cluster() as cluster:
            await cluster.create(config_map(CONFIG), RUNTIME)
            await cluster.start_operator()
            await cluster.create(make_service(name, image, stopped=stopped))
            await cluster.settle()
            service = await cluster.get(SERVICES, "ml", name)
            assert stopped or is_ready(service)
            return pictured(await cluster.children("ml")), told_status(service)

    return run_virtually(quiet())


class History:
    """One cluster and what happens to it. Every method but `end` is one thing that happens."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self._stack = AsyncExitStack()
        self.cluster: VirtualCluster = self._run(self._begin())
        self.operators: list[Operator] = []
        self.numbered = 0
        self.rivals = False
        self.allowed: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.start()

    async def _begin(self) -> VirtualCluster:
        cluster = await self._stack.enter_async_context(virtual_cluster())
        await cluster.create(config_map(CONFIG), RUNTIME)
        cluster.door.fault = self._fault
        cluster.delay = lambda: self._draw.choice(DELAYS)
        self._left: list[tuple[int, int, str]] = []
        return cluster

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    # --- what users do ---

    def create(self, name: str, image: str) -> None:
        async def happens() -> None:
            with suppress(AssertionError):  # it is there
                await self.cluster.create(make_service(name, image, stopped=False))
                self.allowed[name] += 1

        self._run(happens())

    def edit(self, name: str, image: str) -> None:
        def change(service: JsonObject) -> None:
            service["spec"]["predictor"]["model"]["image"] = image

        self._change(name, change)

    def toggle(self, name: str) -> None:
        def change(service: JsonObject) -> None:
            annotations = service["metadata"].setdefault("annotations", {})
            if annotations.pop(STOP, None) is None:
                annotations[STOP] = "true"

        self._change(name, change)

    def _change(self, name: str, change: Callable[[JsonObject], None]) -> None:
        async def happens() -> None:
            with suppress(NotFound):
                found = await self.cluster.get(SERVICES, "ml", name)
                change(found)
                found["metadata"].pop("resourceVersion")
                await self.cluster.store.update(SERVICES.id, found)
                self.allowed[name] += 1

        self._run(happens())

    def delete(self, name: str) -> None:
        async def happens() -> None:
            with suppress(NotFound):
                await self.cluster.store.delete(Key(SERVICES.id, "ml", name))

        self._run(happens())

    def spoil(self, name: str) -> None:
        """Change a template by hand."""

        async def happens() -> None:
            with suppress(NotFound, AssertionError):
                found = await self.cluster.get(DEPLOYMENTS, "ml", f"{name}-predictor")
                found["spec"]["template"]["spec"]["containers"][0]["image"] = SPOILT
                await self.cluster.send("PUT", DEPLOYMENTS, found, manager="hand")
                self.allowed[name] += 1

        self._run(happens())

    def lose_child(self, number: int) -> None:
        async def happens() -> None:
            children = await self.cluster.children("ml")
            if children:
                child = children[number % len(children)]
                resource = RESOURCES.for_object(child)
                assert resource is not None
                with suppress(NotFound):
                    key = Key(resource.id, "ml", child["metadata"]["name"])
                    await self.cluster.store.delete(key)

        self._run(happens())

    # --- what the cluster does ---

    def refuse(self, what: str, after: int, times: int) -> None:
        """From some call on, answer a few with an error."""
        self._left.append((after, times, what))

    async def _fault(self, request: Request) -> Reply | None:
        self.rivals = self.rivals or sum(o.election.leading for o in self.operators) > 1
        await self._note_template(request)
        for at, (after, times, what) in enumerate(self._left):
            if what == "conflict" and request.method not in WRITES:
                continue
            if what == "expired" and request.method != "GET":
                continue
            self._left[at] = (after - 1, times, what) if after else (0, times - 1, what)
            if not after:
                self._left = [each for each in self._left if each[1]]
                return make_error(ANSWERS[what])
        return None

    async def _note_template(self, request: Request) -> None:
        """Count what an operator changes in a template that is there."""
        if request.method != "PATCH" or "/deployments/" not in request.path:
            return
        with suppress(NotFound, ValueError):
            name = request.path.rpartition("/")[2]
            there = await self.cluster.get(DEPLOYMENTS, "ml", name)
            wanted = json.loads(request.body)["spec"]["template"]["spec"]["containers"][0]["image"]
            image = there["spec"]["template"]["spec"]["containers"][0]["image"]
            self.written[name.removesuffix("-predictor")] += image != wanted

    def lose_answer(self) -> None:
        """The next call of each operator arrives, but its answer does not."""

        async def lost(_request: Request) -> None:
            for wire in self.cluster.wires.values():
                wire.after = nothing
            raise httpx2.ReadError("the answer was lost")

        for wire in self.cluster.wires.values():
            wire.after = lost

    def silence(self) -> None:
        """The next call of each operator is never answered."""

        async def silent(_request: Request) -> None:
            for wire in self.cluster.wires.values():
                wire.before = nothing
            await asyncio.Event().wait()

        for wire in self.cluster.wires.values():
            wire.before = silent

    def cut(self) -> None:
        self.cluster.cut_connections()

    def vanish(self, told: bool) -> None:
        """The definition of HTTPRoutes goes with all of them, before watches tell or not."""

        async def happens() -> None:
            self.cluster.door.missing = {HTTP_ROUTES.id}
            self.cluster.cut_connections()
            await asyncio.sleep(0 if told else 0.01)
            for route in (await self.cluster.store.list(HTTP_ROUTES.id)).items:
                with suppress(NotFound):
                    await self.cluster.store.delete(
                        Key(HTTP_ROUTES.id, "ml", route["metadata"]["name"])
                    )

        self._run(happens())

    def appear(self) -> None:
        self.cluster.door.missing = set()

    # --- what happens to operators ---

    def start(self, shift: float = 0.0) -> None:
        """Start one more, its clock beside the others'."""
        self.numbered += 1
        started = self.cluster.start_operator(f"op-{self.numbered}", shift=shift)
        self.operators.append(self._run(started))

    def kill(self, number: int) -> None:
        operator = self.operators.pop(number % len(self.operators))
        self._run(self.cluster.kill_operator(operator))
        if not self.operators:
            self.start()

    def stop(self, number: int) -> None:
        operator = self.operators.pop(number % len(self.operators))
        self._run(self.cluster.stop_operator(operator))
        if not self.operators:
            self.start()

    def jump(self, seconds: float) -> None:
        for operator in self.operators:
            self.cluster.clocks[operator].shift += seconds

    def wait(self, seconds: float) -> None:
        self._run(asyncio.sleep(seconds))

    # --- the end ---

    def end(self) -> None:
        """Heal everything, and check what came of it."""
        try:
            self._left.clear()
            for wire in self.cluster.wires.values():
                wire.before = wire.after = nothing
            self.appear()
            self._run(asyncio.sleep(400))
            self._check()
            assert self._written_by_another() == {}, "what rests is written by another operator"
            self._check()
        finally:
            self._run(self._stack.aclose())
            self._runner.close()

    def _written_by_another(self) -> dict[str, int]:
        self.cluster.door.forget()
        self._run(self.cluster.stop_operators())
        self.operators = []
        self.start()
        self._run(asyncio.sleep(60))
        return dict(self.cluster.door.writes)

    def _check(self) -> None:
        services = self._run(self.cluster.store.list(SERVICES.id, "ml")).items
        wanted: dict[tuple[str, str], JsonObject] = {}
        for service in services:
            assert not service["metadata"].get("deletionTimestamp"), "it is never let go"
            metadata = service["metadata"]
            image = service["spec"]["predictor"]["model"]["image"]
            stopped = STOP in (metadata.get("annotations") or {})
            objects, status = expected(metadata["name"], image, stopped)
            wanted |= objects
            assert told_status(service) == status
        there = self._run(self.cluster.children("ml"))
        assert pictured(there) == wanted
        owners = {s["metadata"]["uid"] for s in services}
        assert {o["metadata"]["ownerReferences"][0]["uid"] for o in there} <= owners
        assert not self.rivals, "two operators acted at the same time"
        too_many = {n: c for n, c in self.written.items() if c > self.allowed[n]}
        assert not too_many, (
            f"templates were changed more often than they were asked to: {too_many}"
        )
