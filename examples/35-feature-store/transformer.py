"""Looks up in a feature store what the model has to know of each driver, as KServe's Feast example.

A client sends numbers of drivers; the model takes three features of each.
"""

from __future__ import annotations

import argparse
from typing import Any

from feast import FeatureStore
from kserve import Model, ModelServer, model_server
from kserve.errors import InvalidInput

FEATURES = ("conv_rate", "acc_rate", "avg_daily_trips")


class DriverTransformer(Model):  # type: ignore[misc]
    """`predict` is inherited: it asks the predictor of `--predictor_host`."""

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name)
        self.store = FeatureStore(folder)
        self.look_up([1001])  # what it loads late is loaded before the first request
        self.ready = True

    def look_up(self, drivers: list[int]) -> list[list[float]]:
        """Return the features of each driver; InvalidInput for one that the store does not have."""
        told = self.store.get_online_features(
            features=[f"drivers:{name}" for name in FEATURES],
            entity_rows=[{"driver_id": driver} for driver in drivers],
        ).to_dict()
        rows = list(zip(*(told[name] for name in FEATURES), strict=True))
        for driver, row in zip(drivers, rows, strict=True):
            if None in row:
                raise InvalidInput(f"driver {driver} is not in the feature store; send another")
        return [list(row) for row in rows]

    def preprocess(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's
        """Return the features of the drivers whose numbers were sent."""
        instances = payload.get("instances") if isinstance(payload, dict) else None
        if not isinstance(instances, list) or not all(type(one) is int for one in instances):
            raise InvalidInput('"instances" must be a list of numbers of drivers, as [1001, 1002]')
        return {"instances": self.look_up(instances)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--store", default="/mnt/models", help="the folder of the feature store")
    args, _ = parser.parse_known_args()
    ModelServer().start([DriverTransformer(args.model_name, args.store)])
