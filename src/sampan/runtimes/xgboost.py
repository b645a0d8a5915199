"""XGBoost: boosters saved with `save_model`, in JSON or UBJSON."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_model import Table, TabularModel
from sampan.runtimes.tabular_rows import Matrix
from sampan.server.load_failure import LoadFailure, missing_package

logger = logging.getLogger("sampan.runtimes.xgboost")

RUNTIME = Runtime(
    name="kserve-xgbserver",
    server_type="xgbserver",
    formats=(ModelFormat("xgboost", "2", priority=1, auto_select=True),),
    protocol_versions=("v1", "v2"),
    images=("kserve/xgbserver", "kserve-xgbserver"),
    model="sampan.runtimes.xgboost:XGBoostModel",
    extensions=(".bst", ".json", ".ubj"),
    requirements=(*SERVER_REQUIREMENTS, "xgboost>=2"),
    package="xgboost",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.xgboost", "xgboost"),
    entry_arguments=("--runtime=xgboost", "--grpc_port=0"),
    container_arguments=(
        "--model_name={{.Name}}",
        "--model_dir=/mnt/models",
        "--http_port=8080",
        "--nthread=1",
    ),
    options=("nthread",),
)

LAST_WITH_BINARY = "3.0.5"
"""The last XGBoost that reads the binary format of old `.bst` files (removed in 3.1)."""
_BINARY = re.compile(
    rb"(?:binary|multi|reg|rank|count|survival):[a-z:-]+.{8}(?:gbtree|gblinear|dart)", re.DOTALL
)
"""The names of objective and booster at the head of the binary format, 8 bytes of length between"""
_BINARY_HEAD = 1024
_SAVED_VERSION = re.compile(
    rb'"version"\s*:\s*\[(\d+),\s*(\d+),\s*(\d+)\]'  # JSON
    rb"|version\[(?:#L.{7}\x03)?i(.)i(.)i(.)\]?",  # UBJSON: an array of int8
    re.DOTALL,
)
_TRIAL_ROWS = 16


class XGBoostModel(TabularModel):
    """A booster. It answers what `Booster.predict` answers: of classifiers often probabilities."""

    extensions = RUNTIME.extensions

    def read(self, path: Path, nthread: int) -> Table:
        """Read the booster by its content, whatever the extension."""
        try:
            import xgboost
        except ImportError as error:
            raise missing_package("xgboost", error) from None
        raw = bytearray(path.read_bytes())
        try:
            booster = xgboost.Booster(model_file=raw)
        except xgboost.core.XGBoostError as error:
            raise _diagnose(path, bytes(raw), str(error), xgboost.__version__) from None
        booster.set_param({"nthread": nthread})
        names = tuple(booster.feature_names or ())
        return Table(
            Columns(booster.num_features(), names, infinite=False),
            _select_predict(booster),
            row_wise=True,  # trees and linear boosters alike: measured bit for bit, by the tests
        )


def _select_predict(booster: Any) -> Any:
    """Return the prediction without a DMatrix, where it gives the same; else the one with it."""
    import numpy as np

    width = booster.num_features()
    rows = np.random.default_rng(0).normal(scale=3, size=(_TRIAL_ROWS, width))
    rows[::3, ::2] = np.nan  # missing values take their own way through a tree
    usual = _make_usual(booster)

    def inplace(matrix: Matrix) -> Any:
        return booster.inplace_predict(matrix, validate_features=False)

    try:
        same = np.array_equal(inplace(rows), usual(rows))
    except ValueError:  # XGBoostError: this booster has no such way (gblinear)
        return usual
    return inplace if same else usual


def _make_usual(booster: Any) -> Any:
    import xgboost

    def predict(matrix: Matrix) -> Any:
        # Names and types are the model's: columns are in its order already.
        data = xgboost.DMatrix(
            matrix, feature_names=booster.feature_names, feature_types=booster.feature_types
        )
        return booster.predict(data)

    return predict


def _diagnose(path: Path, raw: bytes, told: str, installed: str) -> LoadFailure:
    """Tell the format of old versions, and the file of a newer one, from what is no model."""
    if raw.startswith(b"binf") or _BINARY.search(raw[:_BINARY_HEAD]):
        return LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" is in the binary format that XGBoost read up to '
            f"{LAST_WITH_BINARY}, and {installed} is installed; set runtimeVersion: "
            f'"{LAST_WITH_BINARY}", or load it there and save it as .json or .ubj',
        )
    what = first_line(told)
    saved = saved_version(raw)
    if saved and _numbers(saved) > _numbers(installed):
        return LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" was saved with XGBoost {saved} and cannot be read by '
            f'{installed} ({what}); set runtimeVersion: "{saved}"',
        )
    return LoadFailure(
        "ModelCorrupt",
        f'model file "{path.name}" cannot be read as an XGBoost model ({what}); save it again '
        "with Booster.save_model, and check that the copy is whole",
    )


def saved_version(raw: bytes) -> str:
    """Return the version that saved a model, "" where it does not say."""
    every = list(_SAVED_VERSION.finditer(raw))
    if not every:
        return ""
    found = every[-1]  # the document's own is at its end
    if found[1]:
        return ".".join(part.decode() for part in found.groups()[:3])
    return ".".join(str(part[0]) for part in found.groups()[3:])


def first_line(told: str) -> str:
    """Return what XGBoost says, without the time, the place in its source and the stack."""
    line = told.strip().partition("\n")[0]
    return re.sub(r"^\[[\d:]+\] \S+:\d+: ", "", line).strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
