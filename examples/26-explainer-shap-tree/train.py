"""Train a boosted regression; save it for predictor and explainer, with rows to compare with."""

from pathlib import Path

import numpy as np
import xgboost
from sklearn import datasets

diabetes = datasets.load_diabetes(scaled=False)
data = xgboost.DMatrix(diabetes.data, diabetes.target, feature_names=diabetes.feature_names)
booster = xgboost.train({"max_depth": 3, "eta": 0.1, "seed": 1}, data, 40)
folder = Path(__file__).with_name("model")
(folder / "explainer").mkdir(parents=True, exist_ok=True)
for place in (folder, folder / "explainer"):
    booster.save_model(place / "model.json")
names, rows = ",".join(diabetes.feature_names), diabetes.data[::9]
np.savetxt(folder / "explainer" / "background.csv", rows, "%g", ",", header=names, comments="")
print(f"trained on {len(diabetes.target)} patients, saved model.json twice and background.csv")
