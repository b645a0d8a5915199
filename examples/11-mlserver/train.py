"""Train a classifier of irises, save it as a project for MLServer: `model/` with its settings."""

import json
from pathlib import Path

import joblib
from sklearn import datasets, svm

target = Path(__file__).parent / "model"
target.mkdir(exist_ok=True)
iris = datasets.load_iris()
joblib.dump(svm.SVC(gamma="scale").fit(iris.data, iris.target), target / "model.joblib")
settings = {
    "name": "iris",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib", "version": "v1"},
}
(target / "model-settings.json").write_text(json.dumps(settings, indent=2) + "\n")
print(f"trained on {len(iris.data)} flowers, saved model.joblib and model-settings.json")
