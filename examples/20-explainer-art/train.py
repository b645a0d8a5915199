"""Train a classifier of handwritten digits (8 by 8, from 0 to 1); save `model/model.joblib`."""

from pathlib import Path

import joblib
from sklearn import datasets, svm

target = Path(__file__).parent / "model" / "model.joblib"
digits = datasets.load_digits()
target.parent.mkdir(exist_ok=True)
joblib.dump(svm.SVC(gamma=0.256).fit(digits.data[20:] / 16, digits.target[20:]), target)
print(f"trained on {len(digits.data) - 20} digits, saved {target.name}")
