"""Train a classifier of irises, save it as a project of BentoML: `model/` with its service."""

from pathlib import Path

import joblib
from sklearn import datasets, svm

SERVICE = '''
"""A classifier of irises."""

from pathlib import Path
from typing import Annotated

import bentoml
import joblib
import numpy as np
from bentoml.validators import DType, Shape


Rows = Annotated[np.ndarray, Shape((-1, 4)), DType("float64")]


@bentoml.service
class Iris:
    """Says which species a flower is."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(__file__).with_name("model.joblib"))

    @bentoml.api
    def classify(self, flowers: Rows) -> np.ndarray:
        """Return a species for each flower."""
        return self.model.predict(flowers)
'''
BUILD = """
service: service:Iris
include: [service.py, model.joblib]
python:
  packages: [scikit-learn, joblib]
"""

target = Path(__file__).parent / "model"
target.mkdir(exist_ok=True)
iris = datasets.load_iris()
joblib.dump(svm.SVC(gamma="scale").fit(iris.data, iris.target), target / "model.joblib")
(target / "service.py").write_text(SERVICE.lstrip())
(target / "bentofile.yaml").write_text(BUILD.lstrip())
print(f"trained on {len(iris.data)} flowers, saved model.joblib, service.py and bentofile.yaml")
