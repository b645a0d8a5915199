"""Train a classifier of digits, which tells how likely each is, and save it."""

from pathlib import Path

import joblib
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

digits = datasets.load_digits()
classifier = LogisticRegression(max_iter=1000).fit(digits.data[20:] / 16, digits.target[20:])
folder = Path(__file__).with_name("model")
folder.mkdir(exist_ok=True)
joblib.dump(classifier, folder / "model.joblib")
print(f"trained on {len(digits.target) - 20} digits, saved model.joblib")
