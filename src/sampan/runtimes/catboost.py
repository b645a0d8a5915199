"""CatBoost: models saved with `save_model`, in its own binary format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_model import Table, TabularModel, wants_probabilities
from sampan.runtimes.tabular_values import Field
from sampan.server.load_failure import LoadFailure, missing_package

RUNTIME = Runtime(
    name="sampan-catboostserver",
    server_type="catboostserver",
    formats=(ModelFormat("catboost", "1", priority=1, auto_select=True),),
    protocol_versions=("v1", "v2"),
    images=("sampan/catboostserver",),
    model="sampan.runtimes.catboost:CatBoostModel",
    extensions=(".cbm",),
    requirements=(*SERVER_REQUIREMENTS, "catboost>=1.2"),
    package="catboost",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.catboost", "catboost"),
    entry_arguments=("--runtime=catboost", "--grpc_port=0"),
    container_arguments=(
        "--model_name={{.Name}}",
        "--model_dir=/mnt/models",
        "--http_port=8080",
        "--nthread=1",
    ),
    options=("nthread",),
)

_FORM = re.compile(rb"\ACBM1.{4,124}?FlabuffersModel_v(\d+)", re.DOTALL)
_READ = b"1"
_HEAD_BYTES = 256
"""A model begins with its form, "FlabuffersModel_v1" (sic) of each CatBoost so far."""
_SAVED = re.compile(rb"Branch: tags/v(\d+\.\d+[\w.]*)")
"""What a release says of itself in each model: "Branch: tags/v1.2.10"."""

_BY_EXPONENT = frozenset({"Poisson", "Tweedie"})
"""Losses of regressions that CatBoostRegressor answers by the exponent of the raw value."""


class CatBoostModel(TabularModel):
    """A model that answers as CatBoostClassifier or CatBoostRegressor would: classes, or values.

    PREDICT_PROBA=true answers with probabilities where there are classes.
    """

    extensions = RUNTIME.extensions

    def read(self, path: Path, nthread: int) -> Table:
        """Read the model; categorical and text features are columns of text."""
        try:
            import catboost
        except ImportError as error:
            raise missing_package("catboost", error) from None
        model = catboost.CatBoost()
        try:
            model.load_model(str(path))
        except catboost.CatBoostError as error:
            raise _diagnose(path, catboost.__version__, error) from None
        names = [str(name) for name in model.feature_names_]
        return Table(
            _make_columns(names),
            _make_predict(model, nthread),
            refusals=(ValueError, TypeError, catboost.CatBoostError),
            row_wise=True,  # measured bit for bit, by the tests
            fields=_make_fields(model, names),
        )


def _diagnose(path: Path, installed: str, error: Exception) -> LoadFailure:
    content = path.read_bytes()
    form = _FORM.search(content[:_HEAD_BYTES])
    if form is None or form[1] == _READ:
        return LoadFailure(
            "ModelCorrupt",
            f'model file "{path.name}" cannot be read by CatBoost {installed} ({error}); save it '
            "again with save_model, and check that the copy is whole",
        )
    saved = _SAVED.search(content)
    version = saved[1].decode() if saved else ""
    mend = f'"{version}"' if version else "the version that saved it"
    return LoadFailure(
        "ModelIncompatible",
        f'model file "{path.name}" was saved by CatBoost {version or "of another age"} in form '
        f"{form[1].decode()} and cannot be read by {installed}, which reads {_READ.decode()}; set "
        f"runtimeVersion: {mend}",
    )


def _make_columns(names: Sequence[str]) -> Columns:
    """Return the columns; names that are their places are none."""
    numbered = [str(index) for index in range(len(names))]
    return Columns(len(names), () if list(names) == numbered else tuple(names))


def _make_fields(model: Any, names: Sequence[str]) -> tuple[Field, ...]:
    """Return the kinds of columns where not all are numbers."""
    categories = set(model.get_cat_feature_indices())
    texts = set(model.get_text_feature_indices())
    if not categories and not texts:
        return ()
    kinds = (
        "text" if i in texts else "category" if i in categories else "number"
        for i in range(len(names))
    )
    return tuple(Field(name, kind) for name, kind in zip(names, kinds, strict=True))


def _make_predict(model: Any, nthread: int) -> Any:
    classes = len(model.classes_)
    kind = "RawFormulaVal"
    if classes:
        kind = "Probability" if wants_probabilities() else "Class"
    elif model.get_all_params().get("loss_function") in _BY_EXPONENT:
        kind = "Exponent"
    predict = partial(model.predict, prediction_type=kind, thread_count=nthread)
    if kind != "Class":
        return predict
    return lambda rows: _flat(predict(rows))


def _flat(result: Any) -> Any:
    """Return classes one a row: CatBoost has them in a column where there are more than two."""
    flat = result.ravel()
    return flat.astype(object) if flat.dtype.kind == "U" else flat
