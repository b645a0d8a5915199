# /// script
# dependencies = ["lightgbm>=4", "scikit-learn", "pandas"]
# ///
"""Train a booster on the iris data set and save it as `model/model.bst`."""

from pathlib import Path

import lightgbm
from sklearn import datasets

target = Path(__file__).parent / "model" / "model.bst"
iris = datasets.load_iris(as_frame=True)
target.parent.mkdir(exist_ok=True)
parameters = {"objective": "multiclass", "num_class": 3, "seed": 0, "num_threads": 1, "verbose": -1}
data = lightgbm.Dataset(iris.data.rename(columns=lambda name: name.replace(" ", "_")), iris.target)
lightgbm.train(parameters, data, 10).save_model(target)
print(f"trained on {len(iris.data)} flowers, saved {target.name}")
