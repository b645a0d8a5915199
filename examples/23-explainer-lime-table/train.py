"""Train a classifier of wines; save it, and rows that the explainer compares with."""

from pathlib import Path

import joblib
import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

wine = datasets.load_wine()
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
model.fit(wine.data, wine.target)
folder = Path(__file__).with_name("model")
(folder / "background").mkdir(parents=True, exist_ok=True)
joblib.dump(model, folder / "model.joblib")
names = ",".join(name.replace("_", " ") for name in wine.feature_names)
np.savetxt(
    folder / "background" / "background.csv", wine.data, "%g", ",", header=names, comments=""
)
print(f"trained on {len(wine.target)} wines, saved model.joblib and background.csv")
