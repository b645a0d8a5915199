"""AutoGluon's predictors of time series in real AutoGluon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.autogluon import make_model
from sampan.runtimes.autogluon_series import AutoGluonSeriesModel

series = pytest.importorskip(
    "autogluon.timeseries", reason="autogluon.timeseries is not installed: make test-engines"
)
pd = pytest.importorskip("pandas")

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
DAYS = [str(day.date()) for day in pd.date_range("2024-01-01", periods=31, freq="D")]


def save(folder: Path, **options: Any) -> Path:
    """Return a folder with a predictor of three days, which come again each week."""
    rows = [
        {"item_id": item, "timestamp": day, "target": float(number % 7), "promo": 0.0}
        for item in ("a", "b")
        for number, day in enumerate(DAYS[:28])
    ]
    table = series.TimeSeriesDataFrame.from_data_frame(pd.DataFrame(rows))
    predictor = series.TimeSeriesPredictor(
        prediction_length=3, path=str(folder), freq="D", verbosity=0, **options
    )
    predictor.fit(table, hyperparameters={"SeasonalNaive": {}}, enable_ensemble=False)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("series") / "predictor")


@pytest.fixture(scope="module")
def covered(tmp_path_factory) -> Path:
    """Return the folder of one that has to know of promotions."""
    folder = save(tmp_path_factory.mktemp("known") / "p", known_covariates_names=["promo"])
    named = {"id_column": "shop", "timestamp_column": "day"}
    (folder / "predictor_metadata.json").write_text(json.dumps(named))
    return folder


def load(folder: Path) -> AutoGluonSeriesModel:
    model = make_model("m", str(folder), trust=True)
    assert isinstance(model, AutoGluonSeriesModel)
    assert model.load()
    return model


def history(days: list[str] = DAYS[:14], item: str = "item_id", time: str = "timestamp") -> Any:
    return [
        {item: "new", time: day, "target": number % 7, "promo": 0}
        for number, day in enumerate(days)
    ]


def test_a_history_is_answered_with_what_comes_next(saved):
    model = load(saved)
    model.warm_up()
    told = model.predict({"instances": history()})["predictions"]
    assert [row["timestamp"] for row in told] == [f"2024-01-{day}T00:00:00" for day in (15, 16, 17)]
    assert [row["mean"] for row in told] == [0.0, 1.0, 2.0]
    assert {row["item_id"] for row in told} == {"new"}
    assert list(told[0])[2:] == ["mean", *(f"0.{tenth}" for tenth in range(1, 10))]
    json.dumps(told, allow_nan=False)


def test_covariates_of_the_time_ahead_are_asked_for_by_the_names_of_the_model(covered):
    model = load(covered)
    rows = history(item="shop", time="day")
    ahead = [{"shop": "new", "day": day, "promo": 1} for day in DAYS[14:17]]
    told = model.predict({"instances": rows, "known_covariates": ahead})["predictions"]
    assert [(row["shop"], row["day"], row["mean"]) for row in told] == [
        ("new", f"2024-01-{day}T00:00:00", mean) for day, mean in ((15, 0), (16, 1), (17, 2))
    ]
    for wrong, said in (
        ({}, '"known_covariates" is missing; send a row of "promo"'),
        ({"known_covariates": [{"shop": "new", "day": DAYS[14]}]}, '"promo" is missing in known'),
        ({"known_covariates": ahead[:1]}, "does not take these rows"),
    ):
        with pytest.raises(InvalidInput) as raised:
            model.predict({"instances": rows, **wrong})
        assert said in str(raised.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([{**history()[0], "timestamp": "yesterday"}],
                     "instance 0 has the time 'yesterday'", id="no time"),
        pytest.param([{**history()[0], "timestamp": None}], "has the time None", id="a null"),
    ],
)  # fmt: skip
def test_a_wrong_time_is_named(saved, rows, said):
    with pytest.raises(InvalidInput) as raised:
        load(saved).predict({"instances": rows})
    assert said in str(raised.value)


def test_a_value_that_is_not_known_may_be_null(saved):
    rows = history()
    rows[3]["target"] = None
    assert len(load(saved).predict({"instances": rows})["predictions"]) == 3
