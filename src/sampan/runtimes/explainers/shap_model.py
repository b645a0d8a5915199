"""The model itself, where it lies in the explainer's storage: trees and lines need no asking.

It is read as the model's own runtime reads it: boosters from their text or JSON, estimators by
names on the allow-list.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sampan.runtimes.lightgbm_text import find_damage
from sampan.runtimes.model_files import open_model_file, select_model_file
from sampan.runtimes.pickles import Untrusted, load_restricted, parse_names
from sampan.runtimes.sklearn import ALLOWED_FILE, make_refusal
from sampan.runtimes.sklearn_skops import load_skops
from sampan.server.load_failure import LoadFailure

PICKLES = (".joblib", ".pkl", ".pickle")
BOOSTERS = (".json", ".ubj", ".bst", ".txt")
EXTENSIONS = (*BOOSTERS, ".skops", *PICKLES)

_TREES = ("xgboost.", "lightgbm.", "sklearn.tree.", "sklearn.ensemble.")


def has_model(folder: Path) -> bool:
    """Tell whether a model lies beside the background."""
    return folder.is_dir() and any(path.suffix in EXTENSIONS for path in folder.iterdir())


def load_model(folder: Path) -> Any:
    """Return the model of a folder. LoadFailure tells what is wrong with it."""
    path = select_model_file(folder, EXTENSIONS)
    try:
        return _load_booster(path) if path.suffix in BOOSTERS else _load_estimator(path)
    except LoadFailure:
        raise
    except Untrusted as untrusted:
        raise make_refusal(path, untrusted.name) from None
    except Exception as error:
        raise LoadFailure(
            "ModelCorrupt",
            f'model file "{path.name}" cannot be read ({type(error).__name__}: {error}); save it '
            "as its predictor takes it",
        ) from error


def select_kind(model: Any) -> str:
    """Return how a model is explained best: `tree`, `linear`, or `kernel` for any other.

    Estimators that wrap others (pipelines, searches) are asked as a whole.
    """
    where = f"{type(model).__module__}."
    if where.startswith(_TREES) and not type(model).__name__.startswith(("Stacking", "Voting")):
        return "tree"
    if where.startswith("sklearn.linear_model.") and hasattr(model, "coef_"):
        return "linear"
    return "kernel"


def _load_booster(path: Path) -> Any:
    if path.read_bytes()[:5] == b"tree\n":
        damage = find_damage(path.read_bytes())  # LightGBM would crash
        if damage:
            raise LoadFailure("ModelCorrupt", f'model file "{path.name}" is damaged: {damage}')
        import lightgbm

        return lightgbm.Booster(model_file=str(path))
    import xgboost

    return xgboost.Booster(model_file=bytearray(path.read_bytes()))


def _load_estimator(path: Path) -> Any:
    allowed = parse_names(ALLOWED_FILE.read_text())
    if path.suffix == ".skops":
        return load_skops(path, allowed, trust=False)
    with open_model_file(path) as file:
        return load_restricted(file, allowed)
