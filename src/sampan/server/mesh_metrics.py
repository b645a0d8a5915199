"""ModelMesh's metrics of a process with many models, by ModelMesh's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sampan.server.metrics_histogram import Histogram

MILLISECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 75.0, 100.0, 200.0, 500.0, 1000.0, 2000.0,
                5000.0, 10000.0, 20000.0, 60000.0, 120000.0, 300000.0)  # fmt: skip
"""ModelMesh's buckets of times (Metrics.java)."""

_GAUGES = {
    "modelmesh_models_managed_total": "models that are registered",
    "modelmesh_models_loaded_total": "models in memory",
    "modelmesh_models_with_failure_total": "models that did not load",
    "modelmesh_instance_models_total": "models in memory, and those being loaded",
    "modelmesh_instance_capacity_bytes": "what models may take of memory",
    "modelmesh_instance_used_bytes": "what the models in memory count for",
    "modelmesh_instance_lru_seconds": "when the least recently used model was last used",
    "modelmesh_instance_lru_age_seconds": "how long ago that was",
}


class MeshMetrics:
    """Counts of loads, misses and evictions; `gauges` yields a value for each gauge."""

    def __init__(self, gauges: Callable[[], Iterable[tuple[str, float]]]) -> None:
        self._gauges = gauges
        self.load_ms = Histogram(MILLISECONDS)
        self.unload_ms = Histogram(MILLISECONDS)
        self.miss_ms = Histogram(MILLISECONDS)
        self.failures = 0
        self.misses = 0
        self.evictions = 0

    @property
    def loads(self) -> int:
        """How many models were loaded."""
        self.load_ms.fold()
        return sum(self.load_ms.counts)

    def lines(self) -> Iterator[str]:
        """Yield the lines of Prometheus's text format."""
        for name, text, histogram in (
            ("modelmesh_loadmodel_milliseconds", "time that a load took", self.load_ms),
            ("modelmesh_unloadmodel_milliseconds", "time until a model was gone", self.unload_ms),
            ("modelmesh_cache_miss_milliseconds", "time that a miss waited", self.miss_ms),
        ):
            histogram.fold()
            yield from (f"# HELP {name} {text}", f"# TYPE {name} histogram")
            yield from histogram.lines(name, 'method="load"')
        for name, text, count in (
            ("modelmesh_loadmodel_failure", "loads that failed", self.failures),
            ("modelmesh_cache_miss", "requests whose model was not in memory", self.misses),
            ("modelmesh_evictions_total", "models that made room for others", self.evictions),
        ):
            yield from (f"# HELP {name} {text}", f"# TYPE {name} counter", f"{name} {count}")
        for name, value in self._gauges():
            yield from (f"# HELP {name} {_GAUGES[name]}", f"# TYPE {name} gauge")
            yield f"{name} {float(value)}"
