"""The peers: XGBoost, LightGBM and PMML models on KServe's own SDK, as its servers serve them.

Runs in the peer's environment, never in ours: `python peer_tabular.py FORMAT --model_dir DIR
--model_name NAME --http_port PORT`. One process, KServe's defaults; each `predict` does what
KServe's xgbserver, lgbserver and pmmlserver do, which are not published as packages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kserve import Model, ModelServer, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class XGBoost(Model):
    """A booster that is asked through a DMatrix."""

    def load(self) -> bool:
        """Read the model."""
        import xgboost

        self._xgboost = xgboost
        self._booster = xgboost.Booster({"nthread": 1}, model_file=str(next(FOLDER.glob("*.json"))))
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer a V1 or V2 request."""
        data = self._xgboost.DMatrix(get_predict_input(payload), nthread=1)
        return get_predict_response(payload, self._booster.predict(data), self.name)


class LightGBM(Model):
    """A booster that is asked by rows, or by a DataFrame."""

    def load(self) -> bool:
        """Read the model."""
        import lightgbm

        self._booster = lightgbm.Booster(
            params={"nthread": 1}, model_file=str(next(FOLDER.glob("*.bst")))
        )
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer a V1 or V2 request."""
        rows = get_predict_input(payload, columns=self._booster.feature_name())
        return get_predict_response(payload, self._booster.predict(rows), self.name)


class PMML(Model):
    """A model that JPMML evaluates in a process of its own, asked over Py4J row by row."""

    def load(self) -> bool:
        """Start Java, and read and verify the model."""
        from jpmml_evaluator import make_evaluator

        path = str(next(FOLDER.glob("*.pmml")))
        self._evaluator = make_evaluator(path, backend="py4j").verify()
        self._fields = [field.getName() for field in self._evaluator.getInputFields()]
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer a V1 or V2 request."""
        import pandas as pd

        rows = get_predict_input(payload)
        found = [
            self._evaluator.evaluate(dict(zip(self._fields, row, strict=False))) for row in rows
        ]
        return get_predict_response(payload, pd.DataFrame(found), self.name)


KINDS = {"xgboost": XGBoost, "lightgbm": LightGBM, "pmml": PMML}

if __name__ == "__main__":
    kind = sys.argv.pop(1)
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", required=True)
    args, _ = parser.parse_known_args()
    FOLDER = Path(args.model_dir)
    model = KINDS[kind](args.model_name)
    model.load()
    ModelServer().start([model])
