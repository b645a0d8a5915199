"""Train a forest that tells irises apart; save it, and rows that the explainer compares with."""

from pathlib import Path

import joblib
import numpy as np
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier

iris = datasets.load_iris()
forest = RandomForestClassifier(n_estimators=20, max_depth=4, random_state=0)
forest.fit(iris.data, iris.target)
folder = Path(__file__).with_name("model")
(folder / "background").mkdir(parents=True, exist_ok=True)
joblib.dump(forest, folder / "model.joblib")
names = ",".join(name.removesuffix(" (cm)") for name in iris.feature_names)
np.savetxt(
    folder / "background" / "background.csv", iris.data, "%g", ",", header=names, comments=""
)
print(f"trained on {len(iris.target)} irises, saved model.joblib and background.csv")
