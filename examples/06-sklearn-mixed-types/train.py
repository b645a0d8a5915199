# /// script
# dependencies = ["scikit-learn", "pandas", "skops>=0.13"]
# ///
"""Train a pipeline on cars and save it as `model/model.skops`."""

from pathlib import Path

import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

target = Path(__file__).parent / "model" / "model.skops"
target.parent.mkdir(exist_ok=True)
cars = pd.DataFrame(
    {
        "make": ["fiat", "volvo", "fiat", "saab"] * 5,
        "power": [50.0, 120.0, None, 100.0] * 5,
        "doors": [2, 4] * 10,
    }
)
prices = 100.0 * cars["doors"] + 10.0 * cars["power"].fillna(100.0)
columns = ColumnTransformer(
    [
        ("make", OneHotEncoder(handle_unknown="ignore"), ["make"]),
        ("power", SimpleImputer(strategy="median"), ["power"]),
    ],
    remainder="passthrough",
)
skops.io.dump(
    make_pipeline(columns, DecisionTreeRegressor(random_state=0)).fit(cars, prices), target
)
print(f"trained on {len(cars)} cars, saved {target.name}")
