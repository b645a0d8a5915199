"""Where the replicas of a template tell their metrics, by annotations of KServe or Prometheus."""

from __future__ import annotations

import pytest

from sampan.controllers.scaled_workload import make_metrics_path, make_metrics_port

KSERVE, PLAIN = "prometheus.kserve.io", "prometheus.io"


@pytest.mark.parametrize(
    ("annotations", "path", "port"),
    [
        pytest.param({}, "/metrics", 0, id="nothing said: where requests go"),
        pytest.param(
            {f"{KSERVE}/path": "/told", f"{KSERVE}/port": "8002"}, "/told", 8002, id="KServe"
        ),
        pytest.param({f"{PLAIN}/path": "told", f"{PLAIN}/port": "8002"}, "/told", 8002, id="plain"),
        pytest.param(
            {f"{KSERVE}/port": "1", f"{PLAIN}/port": "2"}, "/metrics", 1, id="KServe first"
        ),
        pytest.param({f"{KSERVE}/port": "http"}, "/metrics", 0, id="a port that is no number"),
    ],
)
def test_where_metrics_are(annotations: dict[str, str], path: str, port: int) -> None:
    template = {"metadata": {"annotations": annotations}}
    assert (make_metrics_path(template), make_metrics_port(template)) == (path, port)
