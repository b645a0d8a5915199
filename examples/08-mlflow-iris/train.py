# /// script
# dependencies = ["mlflow-skinny>=3", "scikit-learn", "pandas", "skops>=0.13"]
# ///
"""Train a classifier on the iris data set and save it with MLflow in `model/MLmodel`."""

import shutil
import warnings
from pathlib import Path

import mlflow.sklearn
from mlflow.models import infer_signature
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier

warnings.simplefilter("ignore")
target = Path(__file__).parent / "model"
iris = datasets.load_iris(as_frame=True)
classifier = GradientBoostingClassifier(n_estimators=5, random_state=0)
classifier.fit(iris.data, iris.target)
shutil.rmtree(target, ignore_errors=True)
mlflow.sklearn.save_model(
    classifier,
    target,
    serialization_format="cloudpickle",
    signature=infer_signature(iris.data, classifier.predict(iris.data)),
    pip_requirements=["scikit-learn"],
)
print(f"trained on {len(iris.data)} flowers, saved MLmodel")
