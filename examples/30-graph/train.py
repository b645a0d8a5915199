"""Train two classifiers of irises, and save each in a folder of its own under `model`."""

from pathlib import Path

import joblib
from sklearn import datasets, svm, tree

iris = datasets.load_iris()
models = {"svm": svm.SVC(gamma="scale"), "tree": tree.DecisionTreeClassifier(random_state=0)}
for name, model in models.items():
    target = Path(__file__).parent / "model" / name / "model.joblib"
    target.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model.fit(iris.data, iris.target), target)
    print(f"trained {name} on {len(iris.data)} flowers")
