"""Train a classifier of handwritten digits (8 by 8, grey) and save it as `model/model.joblib`."""

from pathlib import Path

import joblib
from sklearn import datasets, svm

target = Path(__file__).parent / "model" / "model.joblib"
digits = datasets.load_digits()
target.parent.mkdir(exist_ok=True)
joblib.dump(svm.SVC(gamma=0.001).fit(digits.data[20:], digits.target[20:]), target)
print(f"trained on {len(digits.data) - 20} digits, saved {target.name}")
