"""Metrics of a graph's router: requests, and the calls of each step, as Prometheus text.

Plain integers and fixed buckets, written and read on the loop's thread only. A step that did not
answer is counted under the reason in the place of a status (`ConnectionRefused`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from sampan.router.graph import Step
from sampan.server.metrics_histogram import LATENCY_BUCKETS, Histogram
from sampan.server.metrics_process import render_process

DROPPED = "sampan_graph_mirrored_dropped_total"
STEP_REQUESTS = "sampan_graph_step_requests_total"
STEP_DURATION = "sampan_graph_step_duration_seconds"
REQUESTS = "sampan_graph_requests_total"
_FOLD_EVERY = 256  # calls: what is not folded stays small


class StepMetrics:
    """What is counted of one step."""

    __slots__ = ("_codes", "_fresh", "duration", "label")

    def __init__(self, step: Step) -> None:
        self.label = f'node="{_escape(step.node)}",step="{_escape(step.key)}"'
        self._codes: Counter[int | str] = Counter()
        self._fresh: list[tuple[int | str, float]] = []
        self.duration = Histogram(LATENCY_BUCKETS)

    def count(self, code: int | str, seconds: float) -> None:
        """Count a call that has ended. A list takes it: the least that a call can pay."""
        fresh = self._fresh
        fresh.append((code, seconds))
        if len(fresh) >= _FOLD_EVERY:
            self.fold()

    def count_all(self, code: int | str, seconds: Sequence[float]) -> None:
        """Count calls that have ended alike."""
        self._codes[code] += len(seconds)
        self.duration.observe_all(seconds)
        if self.duration.waiting >= _FOLD_EVERY:
            self.duration.fold()

    def fold(self) -> Counter[int | str]:
        """Count what ended since the last time; return all calls by how they ended."""
        fresh, self._fresh = self._fresh, []
        self._codes.update(code for code, _ in fresh)
        self.duration.observe_all(seconds for _, seconds in fresh)
        self.duration.fold()
        return self._codes


class GraphMetrics:
    """What is counted of a router."""

    def __init__(self) -> None:
        self.dropped: Callable[[], int] = lambda: 0
        """How many mirrored calls were not made, because so many were under way."""
        self.beside: Callable[[], bytes] | None = None
        """The metrics of the models of this process, which tell of the process as well."""
        self.codes: dict[int, int] = {}
        self.steps: list[StepMetrics] = []

    def step(self, step: Step) -> StepMetrics:
        """Return the metrics of a step that is new here."""
        made = StepMetrics(step)
        self.steps.append(made)
        return made

    def count(self, code: int) -> None:
        """Count a request that was answered."""
        self.codes[code] = self.codes.get(code, 0) + 1

    def render(self) -> bytes:
        """Return all in Prometheus's text format."""
        own = "\n".join([*self._lines(), ""]).encode()
        if self.beside is not None:
            return own + self.beside()
        return own + "\n".join([*render_process(), ""]).encode()

    def _lines(self) -> Iterator[str]:
        yield from _head(REQUESTS, "counter", "requests of the graph by the status of the answer")
        for code, value in sorted(self.codes.items()):
            yield f'{REQUESTS}{{code="{code}"}} {float(value)}'
        if dropped := self.dropped():
            yield from _head(DROPPED, "counter", "mirrored calls that were not made: too many")
            yield f"{DROPPED} {float(dropped)}"
        yield from _head(STEP_REQUESTS, "counter", "calls of a step by the status of its answer")
        for step in self.steps:
            for answer, value in step.fold().items():
                yield f'{STEP_REQUESTS}{{{step.label},code="{answer}"}} {float(value)}'
        yield from _head(STEP_DURATION, "histogram", "time until a step answered, or failed to")
        for step in self.steps:
            yield from step.duration.lines(STEP_DURATION, step.label)


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
