"""`--nthread` of the boosters' servers: so many threads are what the library is told to use."""

from __future__ import annotations

import lightgbm
import pytest
import xgboost
from sklearn.datasets import load_iris

from sampan.runtimes.lightgbm import LightGBMModel
from sampan.runtimes.xgboost import XGBoostModel

X, Y = load_iris(return_X_y=True)
ROWS = {"instances": X[:2].tolist()}


@pytest.mark.parametrize(("given", "told"), [({}, {1}), ({"nthread": 2}, {2})])
def test_xgboost_predicts_with_as_many_threads_as_it_was_given(given, told, tmp_path, monkeypatch):
    xgboost.train({"nthread": 1}, xgboost.DMatrix(X, Y), 2).save_model(tmp_path / "model.json")
    asked = []
    original = xgboost.Booster.set_param

    def set_param(self, params, value=None):
        asked.append(dict(params).get("nthread"))
        return original(self, params, value)

    monkeypatch.setattr(xgboost.Booster, "set_param", set_param)
    model = XGBoostModel("m", str(tmp_path), **given)
    model.load()
    assert len(model.predict(ROWS)["predictions"]) == 2
    assert set(asked) - {None} == told  # None: what the library sets by itself


@pytest.mark.parametrize(("given", "told"), [({}, {1}), ({"nthread": 2}, {2})])
def test_lightgbm_predicts_with_as_many_threads_as_it_was_given(given, told, tmp_path, monkeypatch):
    parameters = {"objective": "regression", "num_threads": 1, "verbose": -1}
    lightgbm.train(parameters, lightgbm.Dataset(X, Y), 2).save_model(tmp_path / "model.txt")
    asked = []
    original = lightgbm.Booster.predict

    def predict(self, data, **options):
        asked.append(options["num_threads"])
        return original(self, data, **options)

    monkeypatch.setattr(lightgbm.Booster, "predict", predict)
    model = LightGBMModel("m", str(tmp_path), **given)
    model.load()
    assert len(model.predict(ROWS)["predictions"]) == 2
    assert set(asked) == told
