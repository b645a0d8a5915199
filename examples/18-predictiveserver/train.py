# /// script
# dependencies = ["xgboost-cpu==3.2.0", "scikit-learn==1.9.1"]
# ///
"""Train a booster on the iris data set and save it as `model/model.json`."""

from pathlib import Path

import xgboost
from sklearn import datasets

target = Path(__file__).parent / "model" / "model.json"
iris = datasets.load_iris()
target.parent.mkdir(exist_ok=True)
parameters = {"objective": "multi:softmax", "num_class": 3, "seed": 0, "nthread": 1}
booster = xgboost.train(parameters, xgboost.DMatrix(iris.data, iris.target), 10)
booster.save_model(target)
print(f"trained on {len(iris.data)} flowers, saved {target.name}")
