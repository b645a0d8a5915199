"""From an entry of the register to a model: by its format, answering as MLServer does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sampan.mesh.documents import ModelEntry
from sampan.runtimes import get_runtime, resolve
from sampan.runtimes.mlserver.native import NativeModel
from sampan.runtimes.mlserver.settings import ModelSettings
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Model

MLSERVER: Mapping[str, str] = MappingProxyType(
    {
        "sklearn": "mlserver_sklearn.SKLearnModel",
        "xgboost": "mlserver_xgboost.XGBoostModel",
        "lightgbm": "mlserver_lightgbm.LightGBMModel",
        "catboost": "mlserver_catboost.CatboostModel",
    }
)
"""Formats of MLServer, by its implementations."""
PLAIN = ("onnx", "pmml")
"""Formats that are served as by themselves."""
SETTINGS = "model-settings.json"


def make_model(entry: ModelEntry) -> Model:
    """Return the model of an entry, not loaded; LoadFailure for a format that is not served."""
    if entry.format in MLSERVER:
        return _make_mlserver(entry)
    if entry.format in PLAIN:
        model_class: Any = resolve(get_runtime(entry.format).model)
        made: Model = model_class(entry.id, str(_folder(entry)), trust=entry.trusted,
                                  allowed=frozenset())  # fmt: skip
        return made
    known = ", ".join(f'"{name}"' for name in (*MLSERVER, *PLAIN))
    raise LoadFailure(
        "FormatNotServed",
        f'models of format "{entry.format}" are not served side by side here, {known} are; '
        "serve it in Standard mode",
    )


def _make_mlserver(entry: ModelEntry) -> Model:
    settings = ModelSettings(entry.id, MLSERVER[entry.format], _only_file(entry), None)
    return NativeModel(settings, trust=entry.trusted, allowed=frozenset())


def _folder(entry: ModelEntry) -> Path:
    path = Path(entry.path)
    return path.parent if path.is_file() else path


def _only_file(entry: ModelEntry) -> Path:
    """Return the model's file where it is alone, whatever its name: ModelMesh's adapter names it
    in the settings that it writes. Else the folder, in which MLServer's names are looked for.
    """
    path = Path(entry.path)
    files = [f for f in path.iterdir() if f.is_file()] if path.is_dir() else []
    models = [f for f in files if f.name != SETTINGS and not f.name.startswith(".")]
    return models[0] if len(models) == 1 else path
