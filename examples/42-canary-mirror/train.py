"""Train two classifiers of irises: `model` tells species by number, `model-2` by name."""

from pathlib import Path

import joblib
from sklearn import datasets, svm

iris = datasets.load_iris()
for name, species in (("model", iris.target), ("model-2", iris.target_names[iris.target])):
    target = Path(__file__).parent / name / "model.joblib"
    target.parent.mkdir(exist_ok=True)
    joblib.dump(svm.SVC(gamma="scale").fit(iris.data, species), target)
    print(f"trained {name} on {len(iris.data)} flowers")
