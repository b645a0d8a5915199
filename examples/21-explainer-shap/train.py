"""Train a forest that foretells the course of diabetes; save it, and rows to compare with."""

from pathlib import Path

import joblib
import numpy as np
from sklearn import datasets, ensemble

here = Path(__file__).parent
data = datasets.load_diabetes(scaled=False)
forest = ensemble.RandomForestRegressor(n_estimators=50, max_depth=5, random_state=0)
for name in ("model", "model/background"):
    (here / name).mkdir(exist_ok=True)
joblib.dump(forest.fit(data.data, data.target), here / "model" / "model.joblib")
rows = data.data[:: len(data.data) // 20][:20]
header = ",".join(data.feature_names)
np.savetxt(here / "model/background/background.csv", rows, "%.6g", ",", header=header, comments="")
print(f"trained on {len(data.data)} patients, saved model.joblib and background.csv")
