"""Train a support vector classifier on the iris data set and save it as `model/model.joblib`."""

from pathlib import Path

import joblib
from sklearn import datasets, svm

target = Path(__file__).parent / "model" / "model.joblib"
iris = datasets.load_iris()
target.parent.mkdir(exist_ok=True)
joblib.dump(svm.SVC(gamma="scale").fit(iris.data, iris.target), target)
print(f"trained on {len(iris.data)} flowers, saved {target.name}")
