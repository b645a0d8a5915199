"""Train two classifiers of irises: `model` is quick, `model-2` asks a thousand trees."""

from pathlib import Path

import joblib
from sklearn import datasets, ensemble, svm

iris = datasets.load_iris()
models = {"model": svm.SVC(gamma="scale"), "model-2": ensemble.RandomForestClassifier(1000)}
for name, model in models.items():
    target = Path(__file__).parent / name / "model.joblib"
    target.parent.mkdir(exist_ok=True)
    joblib.dump(model.fit(iris.data, iris.target), target)
    print(f"trained {name} on {len(iris.data)} flowers")
