"""KServe's AutoGluon samples, run for real: the YAML as it is but for `storageUri`.

What AutoGluon saves are pickles, so a sample ends in a condition that asks for trust first; one of
time series then names the package that it needs.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Sampan
from tests.runtimes import sample_place
from tests.runtimes.test_upstream_samples import needs_shared

from sampan.app.paths import find_paths
from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.runtimes import get_runtime

pytestmark = [
    pytest.mark.timeout(1800),
    needs_shared,
    pytest.mark.skipif(
        not os.environ.get("SAMPAN_TEST_AUTOGLUON"),
        reason="AutoGluon is two gigabytes: make test-engines",
    ),
]
SERIES_PACKAGE = "autogluon.timeseries"
TRAIN = """
import sys
import pandas as pd
from autogluon.tabular import TabularPredictor
rows = [{"age": 20 + i % 50, "fare": 7.5 + i % 9, "sex": ("female", "male")[i % 2],
         "survived": ("yes", "no")[i % 2]} for i in range(200)]
TabularPredictor("survived", path=sys.argv[1], verbosity=0).fit(
    pd.DataFrame(rows), hyperparameters={"GBM": {"num_boost_round": 5}})
"""
TRAIN_SERIES = """
import sys
import pandas as pd
from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor
days = pd.date_range("2024-01-01", periods=28, freq="D")
rows = [{"item_id": "a", "timestamp": day, "target": float(i % 7)} for i, day in enumerate(days)]
TimeSeriesPredictor(prediction_length=2, path=sys.argv[1], freq="D", verbosity=0).fit(
    TimeSeriesDataFrame.from_data_frame(pd.DataFrame(rows)),
    hyperparameters={"SeasonalNaive": {}}, enable_ensemble=False)
"""


def train(code: str, folder: Path, *packages: str) -> Path:
    """Train in the environment that the platform builds for the runtime: the versions are one."""
    cache = EnvironmentCache(
        find_paths().cache / "environments", current_interpreter(), SystemClock()
    )
    requirements = (*get_runtime("autogluon").requirements, *packages)
    python = asyncio.run(cache.build(requirements))
    subprocess.run([python, "-c", code, str(folder)], check=True, capture_output=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def sampan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampan]:
    with sample_place.shipped(tmp_path_factory.mktemp("sampan")) as installation:
        yield installation


def test_a_sample_of_a_table(sampan: Sampan, tmp_path: Path) -> None:
    name = "autogluon-titanic-407032"
    placed = sample_place.place_model(sample_place.sample(name), str(train(TRAIN, tmp_path / "p")))
    service = sample_place.apply(sampan, placed, f"n-{name}")
    service.wait_told("serving.sampan.dev/trust")
    service.annotate(trust="true")
    service.wait_ready()
    columns = {"age": [20.0], "fare": [7.5], "sex": ["female"]}
    tensors = [
        {"name": key, "shape": [1], "datatype": "BYTES" if key == "sex" else "FP64", "data": value}
        for key, value in columns.items()
    ]
    answer = service.ask(f"/v2/models/{service.name}/infer", {"inputs": tensors})
    assert [(output["name"], output["data"]) for output in answer["outputs"]] == [
        ("output-0", ["yes"])
    ]
    service.delete()


def test_samples_of_time_series(sampan: Sampan, tmp_path: Path) -> None:
    folder = train(TRAIN_SERIES, tmp_path / "p", SERIES_PACKAGE)
    days = [f"2024-02-{day:02}" for day in range(1, 15)]
    history = [
        {"item_id": "a", "timestamp": day, "target": number % 7} for number, day in enumerate(days)
    ]
    for name in ("autogluon-ts-forecast-0f937d", "autogluon-ts-forecast-a29855"):
        placed = sample_place.place_model(sample_place.sample(name), str(folder))
        service = sample_place.apply(sampan, placed, f"n-{name}")
        service.wait_told("serving.sampan.dev/trust")
        service.annotate(trust="true")
        service.wait_told(f"serving.sampan.dev/requirements: {SERIES_PACKAGE}")
        service.annotate(requirements=SERIES_PACKAGE)
        service.wait_ready(600)
        told = service.ask(f"/v1/models/{service.name}:predict", {"instances": history})
        assert [(row["timestamp"], row["mean"]) for row in told["predictions"]] == [
            ("2024-02-15T00:00:00", 0.0), ("2024-02-16T00:00:00", 1.0)
        ]  # fmt: skip
        service.delete()
