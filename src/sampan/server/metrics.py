"""Metrics: plain integers and fixed buckets, turned into Prometheus text when they are scraped.

`request_*_seconds` have KServe's names, labels and buckets (which are prometheus_client's
defaults), so dashboards made for KServe work. Beside them stand rate, errors and duration of
inferences, queues and batches, and loads. Written and read on the loop's thread only; no lock.

Several processes of one server are told as one: each gives its `state`, one renders the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
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
_DURATION = "kserve_inference_duration_seconds"
_REQUESTS = "kserve_inference_requests_total"
_FOLD_EVERY = 256  # inferences: what is not folded stays small, and a fold below a tenth of a ms
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
    """What is counted of one model. A series appears with its first observation."""

    __slots__ = ("_codes", "_duration", "_steps", "begun", "counters", "ended", "histograms")

    def __init__(self) -> None:
        self.histograms: dict[str, Histogram] = {}
        self.counters: dict[tuple[str, str], int] = {}
        self.begun = 0
        self.ended = 0
        self._codes: dict[str, int] = {}
        self._duration: Histogram | None = None
        self._steps = _Steps(self)

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

    def refuse(self, code: str) -> None:
        """Count an inference that did not begin."""
        self._codes[code] = self._codes.get(code, 0) + 1

    def end(self, ran: Ran, seconds: float, code: str) -> None:
        """Count an inference that has begun: its time, its outcome, its steps."""
        self.ended += 1
        codes, steps = self._codes, self._steps
        codes[code] = codes.get(code, 0) + 1
        if self._duration is None:
            self._duration = self.histogram(_DURATION, LATENCY_BUCKETS)
        self._duration.observe(seconds)
        if ran.preprocess is not None:
            steps["preprocess"].observe(ran.preprocess)
        if ran.predict is not None:
            steps["predict"].observe(ran.predict)
        if ran.explain is not None:
            steps["explain"].observe(ran.explain)
        if ran.postprocess is not None:
            steps["postprocess"].observe(ran.postprocess)
        if not self.ended % _FOLD_EVERY:
            for histogram in self.histograms.values():
                histogram.fold()

    def count_all(self, ran: Ran, seconds: Sequence[float], code: str) -> None:
        """Count inferences that begin and end together, each after so many seconds: one predict
        for all of them, each with the same steps.
        """
        number = len(seconds)
        self.begun += number
        self.ended += number
        self._codes[code] = self._codes.get(code, 0) + number
        duration = self.histogram(_DURATION, LATENCY_BUCKETS)
        duration.observe_all(seconds)
        for step, took in ran.phases():
            self._steps[step].observe_all(repeat(took, number))
        if duration.waiting >= _FOLD_EVERY:
            for histogram in self.histograms.values():
                histogram.fold()

    def state(self) -> dict[str, Any]:
        """Return it as plain values."""
        counters = [[*key, value] for key, value in self.counters.items()]
        codes = [[_REQUESTS, code, value] for code, value in self._codes.items()]
        return {
            "histograms": {key: h.state() for key, h in self.histograms.items()},
            "counters": [*counters, *codes],
        }


class _Steps(dict[str, Histogram]):
    """The histograms of a model's steps, each made at its first use."""

    def __init__(self, metrics: ModelMetrics) -> None:
        super().__init__()
        self._metrics = metrics

    def __missing__(self, step: str) -> Histogram:
        found = self[step] = self._metrics.histogram(f"request_{step}_seconds", Histogram.BUCKETS)
        return found


class Metrics:
    """The metrics of all models of this process."""

    def __init__(self) -> None:
        self._models: dict[str, ModelMetrics] = {}
        self.more: Callable[[], Iterable[str]] = tuple
        """Further lines of the text format, of this process alone."""
        self._gauges: dict[str, Gauge] = {
            _IN_FLIGHT: lambda: {name: m.begun - m.ended for name, m in self._models.items()}
        }

    def of(self, model: str) -> ModelMetrics:
        """Return what is counted of a model."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = ModelMetrics()
        return found

    def begin(self, model: str) -> ModelMetrics:
        """Count an inference that has been accepted; `end` of what is returned ends it."""
        found = self.of(model)
        found.begun += 1
        return found

    def refused(self, model: str, code: str) -> None:
        """Count an inference that did not begin. Only for names that are registered: a client may
        ask for any name, and each would be a series."""
        self.of(model).refuse(code)

    def observe_batch(self, model: str, size: int, waited: Iterable[float] = ()) -> None:
        """Count one predict for `size` requests that waited these seconds for it."""
        found = self.of(model)
        found.histogram("kserve_inference_batch_size", SIZE_BUCKETS).observe(size)
        found.histogram("kserve_inference_queue_seconds", LATENCY_BUCKETS).observe_all(waited)

    def observe_load(self, model: str, seconds: float, *, success: bool) -> None:
        """Count one load."""
        found = self.of(model)
        found.count("kserve_model_load_total", "success" if success else "failure")
        found.histogram("kserve_model_load_duration_seconds", LOAD_BUCKETS).observe(seconds)

    def set_queue_length(self, read: Gauge) -> None:
        """Say how to learn how many inferences wait for each model."""
        self._gauges["kserve_inference_queue_length"] = read

    # -- several processes as one ------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything as plain values, to be sent to the process that is scraped."""
        return {
            "models": {name: model.state() for name, model in self._models.items()},
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
        lines = (*render_process(), *total.lines(), *self.more())
        return ("\n".join(lines) + "\n").encode()


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
