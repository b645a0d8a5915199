"""What a person does with MLflow itself, where it is installed: in the runtime's environment.

`save FOLDER` saves a model of their own; `ask PORT` asks a server by MLflow's client.
"""

from __future__ import annotations

import logging
import sys
import warnings

import mlflow.pyfunc
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

ROWS = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})


class Sum(mlflow.pyfunc.PythonModel):
    """Adds up each row."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 (MLflow's signature)
        """Return a sum a row."""
        return model_input.sum(axis=1)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    verb, word = sys.argv[1:]
    if verb == "save":
        signature = infer_signature(ROWS, ROWS.sum(axis=1))
        mlflow.pyfunc.save_model(
            word, python_model=Sum(), signature=signature, pip_requirements=["pandas"]
        )
    else:
        client = ScoringServerClient("127.0.0.1", int(word))
        client.ping()
        sys.stdout.write(client.invoke(ROWS).get_predictions().to_json(orient="values"))
