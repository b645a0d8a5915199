"""How the flavors of MLflow are loaded without running what a model brings along.

`mlflow.pyfunc.load_model` imports the loader that the file names and unpickles what that finds:
whoever writes the file decides what runs. So here a flavor that is known is read by our own rules
(pickles by the allow-list, boosters by their libraries), and any other needs trust.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sampan.runtimes.mlflow_document import Document
from sampan.runtimes.pickles import Untrusted, load_restricted, parse_names
from sampan.runtimes.sklearn import ALLOWED_FILE, make_refusal
from sampan.runtimes.sklearn_blame import make_columns
from sampan.runtimes.sklearn_rows import is_row_wise
from sampan.runtimes.sklearn_skops import load_skops
from sampan.runtimes.tabular_columns import Columns
from sampan.server.load_failure import LoadFailure, missing_package


class Loaded(NamedTuple):
    """How a model answers a DataFrame or an array, and whether row by row (bit for bit).

    `frame`: it is only asked by columns; else a matrix of numbers does as well, of `columns`.
    `with_params`: the same, with `params=`; None where the model takes none.
    """

    predict: Callable[[Any], Any]
    row_wise: bool = False
    frame: bool = True
    columns: Columns | None = None
    with_params: Callable[..., Any] | None = None


def load_flavor(folder: Path, document: Document, allowed: frozenset[str]) -> Loaded:
    """Return the model of a known flavor; LoadFailure names the loader that needs trust."""
    load = _LOADERS.get(document.loader)
    if load is None:
        raise LoadFailure(
            "ModelUntrusted",
            f'the MLflow model is loaded by "{document.loader}", which runs code that the model '
            f"brings; known are {', '.join(_LOADERS)}; if you trust where the model comes from, "
            'set the annotation serving.sampan.dev/trust: "true" (or start with --trust)',
        )
    return load(folder, document, allowed)


def load_trusted(folder: Path) -> Loaded:
    """Return the model as MLflow loads it, whatever that runs."""
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise missing_package("mlflow", error, "mlflow-skinny") from None
    try:
        model = mlflow.pyfunc.load_model(str(folder))
    except ImportError as error:
        raise _needs(error) from None
    return Loaded(model.predict, with_params=model.predict)


def find_file(folder: Path, name: Any, what: str) -> Path:
    """Return a file of the model that its document names, never one outside its folder."""
    path = folder / str(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise LoadFailure(
            "ModelUntrusted", f'the MLmodel names "{name}" as its {what}, outside the model folder'
        )
    if not path.is_file():
        raise LoadFailure(
            "ModelMissing", f'the MLmodel names "{name}" as its {what}, which is not there'
        )
    return path


def _load_sklearn(folder: Path, document: Document, allowed: frozenset[str]) -> Loaded:
    flavor = document.flavors.get("sklearn", {})
    name = flavor.get("pickled_model") or document.python_function.get("model_path")
    path = find_file(folder, name, "model")
    names = parse_names(ALLOWED_FILE.read_text()) | allowed
    try:
        if path.suffix == ".skops":
            estimator = load_skops(path, names, trust=False)
        else:
            with path.open("rb") as file:
                estimator = load_restricted(file, names)
    except Untrusted as untrusted:
        raise make_refusal(path, untrusted.name) from None
    except ImportError as error:
        raise _needs(error) from None
    except (EOFError, ValueError, AttributeError, TypeError, KeyError) as error:
        saved = flavor.get("sklearn_version")
        raise LoadFailure(
            "ModelIncompatible" if saved else "ModelCorrupt",
            f'model file "{path.name}", saved with scikit-learn {saved or "of an unknown version"},'
            f" cannot be read here ({type(error).__name__}: {error}); log the model again with the "
            "scikit-learn of the server, or check that the copy is whole",
        ) from None
    method = str(document.python_function.get("predict_fn", "predict"))
    predict = getattr(estimator, method, None)
    if method.startswith("_") or not callable(predict):
        raise LoadFailure(
            "ModelIncompatible",
            f'a "{type(estimator).__name__}" has no "{method}", which the MLmodel names as its '
            "predict_fn; log it with one that it has",
        )
    columns = make_columns(estimator, numeric=True)
    return Loaded(predict, is_row_wise(estimator), frame=False, columns=columns)


def _load_xgboost(folder: Path, document: Document, allowed: frozenset[str]) -> Loaded:
    del allowed
    from sampan.runtimes.xgboost import XGBoostModel

    flavor = document.flavors.get("xgboost", {})
    path = find_file(folder, document.python_function.get("data"), "model")
    kind = str(flavor.get("model_class", "")).rpartition(".")[2]
    table = XGBoostModel("", str(folder)).read(path, 1)
    if kind in {"", "Booster"}:
        return Loaded(table.predict, table.row_wise, frame=False, columns=table.columns)
    import xgboost

    if kind not in {"XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"}:
        raise LoadFailure("ModelIncompatible", f'the model class "{kind}" is not served')
    estimator = getattr(xgboost, kind)(n_jobs=1)
    estimator.load_model(path)
    return Loaded(estimator.predict, row_wise=True, frame=False, columns=table.columns)


def _load_lightgbm(folder: Path, document: Document, allowed: frozenset[str]) -> Loaded:
    from sampan.runtimes.lightgbm import LightGBMModel

    path = find_file(folder, document.python_function.get("data"), "model")
    if path.suffix in {".pkl", ".skops"}:  # of LightGBM's scikit-learn classes
        return _load_sklearn(folder, document, allowed)
    table = LightGBMModel("", str(folder)).read(path, 1)
    return Loaded(table.predict, table.row_wise, frame=False, columns=table.columns)


def _load_catboost(folder: Path, document: Document, allowed: frozenset[str]) -> Loaded:
    del allowed
    from sampan.runtimes.catboost import CatBoostModel

    path = find_file(folder, document.python_function.get("data"), "model")
    table = CatBoostModel("", str(folder)).read(path, 1)
    numeric = not table.fields
    return Loaded(table.predict, table.row_wise, frame=not numeric, columns=table.columns)


def _needs(error: ImportError) -> LoadFailure:
    return LoadFailure(
        "RuntimeUnavailable",
        f"the model needs a package that is not in the environment ({error}); add it to the "
        "requirements of the image in images.yaml, or run an image that has it",
    )


_LOADERS: Mapping[str, Callable[[Path, Document, frozenset[str]], Loaded]] = {
    "mlflow.sklearn": _load_sklearn,
    "mlflow.xgboost": _load_xgboost,
    "mlflow.lightgbm": _load_lightgbm,
    "mlflow.catboost": _load_catboost,
}
