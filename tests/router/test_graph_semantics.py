"""Every row of the table through the pure core: services that answer at once, and late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import orjson
import pytest
from tests.router.graph_cases import CASES, DOWN, Case

from sampan.router.answers import error_body
from sampan.router.execute import execute
from sampan.router.graph import Graph, make_graph
from sampan.router.steps import Call, Outcome, RouterError, Walk
from sampan.router.walk import Cancel, Done, Hands, Result, Run


def encode(body: Any) -> bytes:
    return body if isinstance(body, bytes) else orjson.dumps(body)


def decode(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return body


def at_once(seconds: float, call: Callable[[], None]) -> Cancel:
    """Time flies: what waits goes on at once."""
    assert seconds > 0
    call()
    return lambda: None


class Services:
    """What answers the calls: at once, or when told to, the last call first."""

    def __init__(self, case: Case, *, late: bool = False) -> None:
        self.case = case
        self.late = late
        self.asked: list[tuple[str, Any]] = []
        self.waiting: deque[Callable[[], None]] = deque()

    def ask(self, call: Call, done: Done) -> Cancel:
        name = call.step.url.removeprefix("svc://")
        self.asked.append((name, decode(call.body)))
        if self.late:
            self.waiting.append(lambda: done(self.answer(call, name)))
        else:
            done(self.answer(call, name))
        return lambda: None

    def answer(self, call: Call, name: str) -> Result:
        if self.case.services[name] == DOWN:
            return RouterError(f'"{name}" takes no connection', step=call.step)
        status, body = self.case.services[name]
        return Outcome(status, encode(body))


def run(case: Case, services: Services) -> list[Result]:
    graph = make_graph({"nodes": case.nodes})
    results: list[Result] = []
    way = execute(Walk(graph, lambda: case.draw), encode(case.request))
    Run(way, Hands(services.ask, at_once), results.append).start()
    while services.waiting:
        services.waiting.pop()()
    return results


def assert_answered(case: Case, status: int, body: Any) -> None:
    assert status == case.status
    if isinstance(case.answer, dict) and "cause" in case.answer:
        assert fnmatch(body.pop("cause"), case.answer["cause"].replace("[", "[[]"))
        assert body == {k: v for k, v in case.answer.items() if k != "cause"}
    else:
        assert body == case.answer


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late, the last asked first"])
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_graph(case: Case, late: bool) -> None:
    services = Services(case, late=late)
    [result] = run(case, services)
    if isinstance(result, RouterError):
        assert_answered(case, result.status, orjson.loads(error_body(result)))
    else:
        assert_answered(case, result.status, decode(result.body))
    reached = [call for call in services.asked if case.services[call[0]] != DOWN]
    for asked, expected in zip(reached, case.asked or reached, strict=True):
        assert asked[0] == expected[0]
        assert expected[1] is None or asked[1] == expected[1]


GATHER = {
    "routerType": "Ensemble",
    "steps": [
        {"name": "a", "serviceUrl": "svc://a"},
        {"name": "b", "serviceUrl": "svc://b", "dependency": "Hard"},
        {"name": "c", "serviceUrl": "svc://c"},
    ],
}


class Held:
    """Calls that are answered, or called off, one by one."""

    def __init__(self) -> None:
        self.done: dict[str, Done] = {}
        self.cancelled: list[str] = []

    def ask(self, call: Call, done: Done) -> Cancel:
        self.done[call.step.key] = done
        return lambda: self.cancelled.append(call.step.key)


def begin(graph: Graph) -> tuple[Run, Held, list[Result]]:
    held, results = Held(), []
    run = Run(execute(Walk(graph, lambda: 0), b"{}"), Hands(held.ask, at_once), results.append)
    run.start()
    return run, held, results


def test_a_hard_failure_calls_off_the_steps_after_it() -> None:
    _, held, results = begin(make_graph({"nodes": {"root": GATHER}}))
    held.done["a"](Outcome(200, b"{}"))
    held.done["b"](Outcome(503, b'{"error":"busy"}'))
    assert results == [Outcome(503, b'{"error":"busy"}')]
    assert held.cancelled == ["c"]


def test_a_hard_failure_waits_for_the_steps_before_it() -> None:
    _, held, results = begin(make_graph({"nodes": {"root": GATHER}}))
    held.done["b"](Outcome(503, b"{}"))
    assert results == []
    held.done["a"](Outcome(200, b"{}"))
    assert results == [Outcome(503, b"{}")]


def test_a_request_that_is_called_off_calls_off_every_step_and_answers_nothing() -> None:
    nodes = {"root": {"routerType": "Sequence", "steps": [{"nodeName": "all"}]}, "all": GATHER}
    run, held, results = begin(make_graph({"nodes": nodes}))
    run.cancel()
    held.done["a"](Outcome(200, b"{}"))
    assert sorted(held.cancelled) == ["a", "b", "c"]
    assert results == []


def test_many_steps_that_answer_at_once_are_all_taken() -> None:
    steps = [{"serviceUrl": "svc://one", "data": "$response"}] * 150
    case = Case(
        {"root": {"routerType": "Sequence", "steps": steps}}, {"one": (200, {})}, {}, 200, {}
    )
    [result] = run(case, Services(case))
    assert isinstance(result, Outcome)
