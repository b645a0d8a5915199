"""Models of each kind of signature, as MLflow saves them, and MLflow's own server of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

Client = ScoringServerClient
VERSION = mlflow.__version__


class Scaled(mlflow.pyfunc.PythonModel):
    """Multiplies by a param."""

    def predict(self, context, model_input, params=None):
        del context
        factor = (params or {}).get("factor", 1.0)
        return (model_input["a"] * factor).tolist()


class Joined(mlflow.pyfunc.PythonModel):
    """Takes two tensors."""

    def predict(self, context, model_input, params=None):
        del context, params
        return model_input["x"].sum(axis=1) + model_input["y"]


class Told(mlflow.pyfunc.PythonModel):
    """Says of which types its columns are."""

    def predict(self, context, model_input, params=None):
        del context, params
        when = model_input["when"]
        raw = [len(value) for value in model_input["raw"]]
        return pd.DataFrame({
            "year": when.dt.year.tolist(), "length": raw, "count": model_input["count"].tolist(),
        })  # fmt: skip


IRIS = load_iris(as_frame=True)
SIGNATURES: dict[str, Any] = {
    "scaled": ModelSignature(
        Schema([ColSpec("double", "a")]),
        params=ParamSchema([ParamSpec("factor", "double", 2.0)]),
    ),
    "joined": ModelSignature(
        Schema([TensorSpec(np.dtype("float64"), (-1, 2), "x"),
                TensorSpec(np.dtype("int64"), (-1,), "y")])
    ),
    "told": ModelSignature(
        Schema([ColSpec("datetime", "when"), ColSpec("binary", "raw"), ColSpec("long", "count")])
    ),
}  # fmt: skip


def save_all(root: Path) -> dict[str, Path]:
    """Save a model of each kind; return their folders."""
    mlflow.set_tracking_uri(f"sqlite:///{root}/tracking.db")
    kinds = {"scaled": Scaled, "joined": Joined, "told": Told}
    made = {name: root / name for name in (*kinds, "tree")}
    for name, kind in kinds.items():
        mlflow.pyfunc.save_model(
            str(made[name]), python_model=kind(), signature=SIGNATURES[name], pip_requirements=[]
        )
    tree = DecisionTreeClassifier(random_state=0).fit(IRIS.data, IRIS.target)
    mlflow.sklearn.save_model(
        tree, str(made["tree"]), signature=infer_signature(IRIS.data, IRIS.target),
        pip_requirements=[], serialization_format="cloudpickle",
    )  # fmt: skip
    return made


def make_application(folder: Path) -> Any:
    """Return the application with which MLflow serves a model."""
    return scoring_server.init(mlflow.pyfunc.load_model(str(folder)))
