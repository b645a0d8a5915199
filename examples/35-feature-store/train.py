"""Train a model of drivers, and make a feature store with what is known of each of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64
from sklearn.linear_model import LinearRegression

here = Path(__file__).parent
store, model = here / "model" / "store", here / "model" / "predictor"
for folder in (store, model):
    folder.mkdir(parents=True, exist_ok=True)

# What is known of each driver, at noon of a day.
drawn, drivers, noon = np.random.default_rng(1), 100, datetime(2026, 1, 1, 12, tzinfo=UTC)
known = pd.DataFrame(
    {
        "driver_id": np.arange(1001, 1001 + drivers),
        "conv_rate": drawn.random(drivers).round(2).astype("float32"),
        "acc_rate": drawn.random(drivers).round(2).astype("float32"),
        "avg_daily_trips": drawn.integers(0, 1000, drivers),
        "event_timestamp": noon,
    }
)
known.to_parquet(store / "drivers.parquet")

# The store: a file to learn from, SQLite to be asked.
(store / "feature_store.yaml").write_text(
    """project: drivers
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""
)
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
view = FeatureView(
    name="drivers",
    entities=[driver],
    ttl=timedelta(0),
    schema=[
        Field(name="conv_rate", dtype=Float32),
        Field(name="acc_rate", dtype=Float32),
        Field(name="avg_daily_trips", dtype=Int64),
    ],
    source=FileSource(path=str(store / "drivers.parquet"), timestamp_field="event_timestamp"),
)
features = FeatureStore(str(store))
features.apply([driver, view])
features.materialize(noon - timedelta(days=1), noon + timedelta(days=1))

# A model that ranks them.
rows = known[["conv_rate", "acc_rate", "avg_daily_trips"]].to_numpy(dtype=float)
rank = rows @ [2.0, 1.0, 0.002]
joblib.dump(LinearRegression().fit(rows, rank), model / "model.joblib")
print(f"trained on {drivers} drivers, saved model.joblib and the feature store")
