"""LightGBM: boosters saved with `save_model`, as text."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.lightgbm_text import find_damage, find_form
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_model import Table, TabularModel
from sampan.runtimes.tabular_rows import Matrix
from sampan.server.load_failure import LoadFailure, missing_package

logger = logging.getLogger("sampan.runtimes.lightgbm")

RUNTIME = Runtime(
    name="kserve-lgbserver",
    server_type="lgbserver",
    formats=(ModelFormat("lightgbm", "4", priority=1, auto_select=True),),
    protocol_versions=("v1", "v2"),
    images=("kserve/lgbserver", "kserve-lgbserver"),
    model="sampan.runtimes.lightgbm:LightGBMModel",
    extensions=(".bst", ".txt"),
    requirements=(*SERVER_REQUIREMENTS, "lightgbm>=4"),
    package="lightgbm",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.lightgbm", "lightgbm"),
    entry_arguments=("--runtime=lightgbm", "--grpc_port=0"),
    container_arguments=(
        "--model_name={{.Name}}",
        "--model_dir=/mnt/models",
        "--http_port=8080",
        "--nthread=1",
    ),
    options=("nthread",),
)


class LightGBMModel(TabularModel):
    """A booster. It answers what `Booster.predict` answers: of classifiers probabilities."""

    extensions = (".bst",)
    other_extensions = (".txt",)

    def read(self, path: Path, nthread: int) -> Table:
        """Read the booster; a damaged text is found before LightGBM sees it (it would crash)."""
        try:
            import lightgbm
        except ImportError as error:
            raise missing_package("lightgbm", error) from None
        content = path.read_bytes()
        _validate_version(path, content, lightgbm.__version__)
        damage = find_damage(content)
        if damage:
            raise _corrupt(path, damage)
        lightgbm.register_logger(logger)
        try:
            booster = lightgbm.Booster(model_file=str(path))
        except lightgbm.basic.LightGBMError as error:
            raise _corrupt(path, f"LightGBM {lightgbm.__version__}: {error}") from None
        return Table(
            _make_columns(booster.feature_name()),
            _make_predict(booster, nthread),
            refusals=(ValueError, TypeError, lightgbm.basic.LightGBMError),
            row_wise=True,  # measured bit for bit, by the tests
        )


def _make_columns(names: list[str]) -> Columns:
    """Return the columns; names that LightGBM made up for a nameless table are none."""
    made_up = [f"Column_{index}" for index in range(len(names))]
    return Columns(len(names), () if names == made_up else tuple(names))


def _make_predict(booster: Any, nthread: int) -> Any:
    def predict(matrix: Matrix) -> Any:
        return booster.predict(matrix, num_threads=nthread)

    return predict


def _validate_version(path: Path, content: bytes, installed: str) -> None:
    """Refuse the form of a newer LightGBM: the form's number is that of the release, v4 of 4.x."""
    form = find_form(content)
    if form > int(installed.partition(".")[0]):
        raise LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" has the form v{form} of LightGBM {form}, and LightGBM '
            f'{installed} is installed; set runtimeVersion: "{form}.0.0" or newer of it, or save '
            "the model with what is installed",
        )


def _corrupt(path: Path, what: str) -> LoadFailure:
    return LoadFailure(
        "ModelCorrupt",
        f'model file "{path.name}" cannot be read as a LightGBM model ({what}); save it again with '
        "Booster.save_model, and check that the copy is whole",
    )
