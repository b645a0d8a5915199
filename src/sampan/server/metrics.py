"""Metrics: plain integers and fixed buckets, turned into Prometheus text when they are scraped.

`request_*_seconds` have KServe's names, labels and buckets (which are prometheus_client's
defaults), so dashboards made for KServe work. Beside them stand rate, errors and duration of
inferences, queues and batches, and loads. Written and read on the loop's thread only; no lock.

Several processes of one server are told as one: each gives its `state`, one renders the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sampan.server.metrics_histogram import (
    LATENCY_BUCKETS,
    LOAD_BUCKETS,
    SIZE_BUCKETS,
    Histogram,
)
from sampan.server.metrics_process import render_process
from sampan.server.steps import Ran

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
STEPS = {
    "preprocess": "pre-process request latency",
    "postprocess": "post-process request latency",
    "predict": "predict request latency",
    "explain": "explain request latency",
}
_HISTOGRAMS = {
    **{f"request_{step}_seconds": text for step, text in STEPS.items()},
    "kserve_inference_duration_seconds": "inference latency, from the whole request to its answer",
    "kserve_inference_queue_seconds": "time that an inference waited for its model",
    "kserve_inference_batch_size": "rows, or requests where rows are unknown, of one predict",
    "kserve_model_load_duration_seconds": "time that a load took",
}
_STEP_FAMILIES = tuple((step, f"request_{step}_seconds") for step in STEPS)
_COUNTERS = {
    "kserve_inference_requests_total": ("inferences by the HTTP status they ended with", "code"),
    "kserve_model_load_total": ("loads by how they ended: success, failure", "result"),
}
_IN_FLIGHT = "kserve_inference_in_flight"
_GAUGES = {
    _IN_FLIGHT: "inferences that are waiting or running",
    "kserve_inference_queue_length": "inferences that are waiting for their model",
}

Gauge = Callable[[], "dict[str, float]"]
"""Returns a value for each model, when asked."""


class ModelMetrics:
    """What is counted of one model."""

    __slots__ = ("begun", "counters", "ended", "histograms")

    def __init__(self) -> None:
        self.histograms: dict[str, Histogram] = {}
        self.counters: dict[tuple[str, str], int] = {}
        self.begun = 0
        self.ended = 0

    def histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        """Return the histogram of this name, made at the first use."""
        found = self.histograms.get(name)
        if found is None:
            found = self.histograms[name] = Histogram(buckets)
        return found

    def count(self, name: str, label: str) -> None:
        """Add one to a counter."""
        key = (name, label)
        self.counters[key] = self.counters.get(key, 0) + 1


class Metrics:
    """The metrics of all models of this process."""

    def __init__(self) -> None:
        self._models: dict[str, ModelMetrics] = {}
        self._gauges: dict[str, Gauge] = {
            _IN_FLIGHT: lambda: {name: m.begun - m.ended for name, m in self._models.items()}
        }

    def begin(self, model: str) -> None:
        """Count an inference that has been accepted; `observe` ends it."""
        self._of(model).begun += 1

    def observe(
        self, model: str, ran: Ran, seconds: float | None = None, code: str = "200"
    ) -> None:
        """Count one inference: its steps that ran to their end, its whole time, its outcome.

        A series appears with its first observation.
        """
        found = self._of(model)
        for step, family in _STEP_FAMILIES:
            took = getattr(ran, step)
            if took is not None:
                found.histogram(family, Histogram.BUCKETS).observe(took)
        if seconds is not None:
            found.ended += 1
            found.count("kserve_inference_requests_total", code)
            found.histogram("kserve_inference_duration_seconds", LATENCY_BUCKETS).observe(seconds)

    def refused(self, model: str, code: str) -> None:
        """Count an inference that did not begin. Only for names that are registered: a client may
        ask for any name, and each would be a series."""
        self._of(model).count("kserve_inference_requests_total", code)

    def observe_batch(self, model: str, size: int, waited: Iterable[float] = ()) -> None:
        """Count one predict for `size` requests that waited these seconds for it."""
        found = self._of(model)
        found.histogram("kserve_inference_batch_size", SIZE_BUCKETS).observe(size)
        queue = found.histogram("kserve_inference_queue_seconds", LATENCY_BUCKETS)
        for seconds in waited:
            queue.observe(seconds)

    def observe_load(self, model: str, seconds: float, *, success: bool) -> None:
        """Count one load."""
        found = self._of(model)
        found.count("kserve_model_load_total", "success" if success else "failure")
        found.histogram("kserve_model_load_duration_seconds", LOAD_BUCKETS).observe(seconds)

    def set_queue_length(self, read: Gauge) -> None:
        """Say how to learn how many inferences wait for each model."""
        self._gauges["kserve_inference_queue_length"] = read

    def _of(self, model: str) -> ModelMetrics:
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = ModelMetrics()
        return found

    # -- several processes as one ------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything as plain values, to be sent to the process that is scraped."""
        return {
            "models": {
                name: {
                    "histograms": {key: h.state() for key, h in model.histograms.items()},
                    "counters": [[*key, value] for key, value in model.counters.items()],
                }
                for name, model in self._models.items()
            },
            "gauges": {name: read() for name, read in self._gauges.items()},
        }

    def render(self, others: Iterable[dict[str, Any]] = ()) -> bytes:
        """Return everything in Prometheus's text format 0.0.4.

        `others` are the states of the server's other processes, added up with this one's. What the
        process tells of itself (memory, CPU) is this one's alone.
        """
        total = _Total()
        for state in (self.state(), *others):
            total.add(state)
        return ("\n".join([*render_process(), *total.lines()]) + "\n").encode()


class _Total:
    """The sum of states, by family and then by labels."""

    def __init__(self) -> None:
        self._histograms: dict[str, dict[str, Histogram]] = {}
        self._counters: dict[str, dict[str, int]] = {}
        self._gauges: dict[str, dict[str, float]] = {}

    def add(self, state: dict[str, Any]) -> None:
        for name, model in state["models"].items():
            label = f'model_name="{_escape(name)}"'
            for family, histogram in model["histograms"].items():
                series = self._histograms.setdefault(family, {})
                if label in series:
                    series[label].add(histogram)
                else:
                    series[label] = Histogram.of(histogram)
            for family, value, count in model["counters"]:
                labels = f'{_COUNTERS[family][1]}="{value}",{label}'
                counts = self._counters.setdefault(family, {})
                counts[labels] = counts.get(labels, 0) + count
        for family, values in state["gauges"].items():
            gauges = self._gauges.setdefault(family, {})
            for name, value in values.items():
                label = f'model_name="{_escape(name)}"'
                gauges[label] = gauges.get(label, 0) + value

    def lines(self) -> Iterable[str]:
        for name, text in _HISTOGRAMS.items():
            series = self._histograms.get(name, {})
            yield from (f"# HELP {name} {text}", f"# TYPE {name} histogram")
            for label, histogram in series.items():
                yield from histogram.lines(name, label)
            if series:
                yield from (f"# HELP {name}_created {text}", f"# TYPE {name}_created gauge")
            for label, histogram in series.items():
                yield f"{name}_created{{{label}}} {histogram.created!r}"
        for name, (text, _) in _COUNTERS.items():
            yield from _plain(name, "counter", text, self._counters.get(name, {}))
        for name, text in _GAUGES.items():
            yield from _plain(name, "gauge", text, self._gauges.get(name, {}))


def _plain(name: str, kind: str, text: str, values: dict[str, Any]) -> Iterable[str]:
    yield from (f"# HELP {name} {text}", f"# TYPE {name} {kind}")
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {float(value)}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
