"""AutoGluon: a saved TimeSeriesPredictor, asked over V1 with the rows of a history.

As KServe's server has it: `instances` are the history, `known_covariates` what is known of the time
ahead, and the answer is a record for each step of each series.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.autogluon_folder import load_predictor, validate_folder
from sampan.runtimes.autogluon_predictor import AutoGluonPredictor
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers

_METADATA = "predictor_metadata.json"
_ISO = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True, slots=True)
class Columns:
    """The names that rows have: of the series, of the time, and of what is forecast."""

    item: str
    time: str
    target: str


class AutoGluonSeriesModel(AutoGluonPredictor):
    """One folder that `TimeSeriesPredictor` saved."""

    platform = "autogluon-timeseries"

    def __init__(self, name: str, model_dir: str, **given: Any) -> None:
        super().__init__(name, model_dir, **given)
        self._columns = Columns("item_id", "timestamp", "target")
        self._known: tuple[str, ...] = ()

    def load(self) -> bool:
        """Load the predictor; LoadFailure tells what is wrong with it."""
        validate_folder(self._folder, trust=self._trust)
        self._predictor = predictor = load_predictor(
            self._folder, "autogluon.timeseries", "TimeSeriesPredictor"
        )
        item, time = gather_names(self._folder, os.environ)
        self._columns = Columns(item, time, str(predictor.target))
        self._known = tuple(predictor.known_covariates_names or ())
        self.ready = True
        return self.ready

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer V1's history with forecasts; InvalidInput names the row that is wrong."""
        del headers, response_headers
        history, ahead = self._select_rows(payload)
        data = self._make_frame(history, "instance", (self._columns.target,))
        known = self._make_frame(ahead, "known covariate", self._known) if self._known else None
        try:  # the cache would be a file in the model's folder
            told = self._predictor.predict(data, known_covariates=known, use_cache=False)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"the model does not take these rows: {error}") from error
        except Exception as error:
            raise InferenceError(str(error)) from error
        return {"predictions": self._make_records(told)}

    def _select_rows(self, payload: Any) -> tuple[list[Any], list[Any]]:
        """Return the rows of the history, and those of the time ahead where the model needs any."""
        if isinstance(payload, InferRequest):
            raise InvalidInput(
                "time series are forecast over V1 alone; send the history as "
                f'{{"instances": [...]}} to /v1/models/{self.name}:predict'
            )
        said = payload if isinstance(payload, dict) else {}
        history = said.get("instances", said.get("inputs"))
        if not isinstance(history, list):
            raise InvalidInput('Expected a JSON object with "instances" or "inputs"')
        if not history:
            raise InvalidInput("the request has no rows; send the history of at least one series")
        ahead = said.get("known_covariates") or []
        if self._known and not (isinstance(ahead, list) and ahead):
            listed = ", ".join(f'"{name}"' for name in self._known)
            raise InvalidInput(
                f'"known_covariates" is missing; send a row of {listed} for each step ahead'
            )
        return history, ahead

    def _make_frame(self, rows: list[Any], kind: str, numbers: tuple[str, ...]) -> Any:
        """Return rows as AutoGluon takes them; InvalidInput names the first that is wrong."""
        import pandas as pd  # type: ignore[import-untyped]  # comes with AutoGluon

        columns = self._columns
        validate_rows(rows, kind, (columns.item, columns.time, *numbers))
        validate_numbers(rows, kind, (columns.target,) if kind == "instance" else ())
        frame = pd.DataFrame(rows)
        times = pd.to_datetime(frame[columns.time], errors="coerce", format="mixed")
        if times.isna().any():
            place = int(times.isna().argmax())
            raise InvalidInput(
                f'{kind} {place} has the time {rows[place][columns.time]!r}; send "{columns.time}" '
                'as ISO 8601, "2024-01-31T00:00:00"'
            )
        from autogluon.timeseries import (  # type: ignore[import-not-found]  # gigabytes
            TimeSeriesDataFrame,
        )

        frame[columns.time] = times
        return TimeSeriesDataFrame.from_data_frame(
            frame, id_column=columns.item, timestamp_column=columns.time
        )

    def _make_records(self, told: Any) -> list[dict[str, Any]]:
        """Return a record a step: its series, its time, the mean and the quantiles."""
        table = told.reset_index()
        table.columns = [self._columns.item, self._columns.time, *map(str, table.columns[2:])]
        table[self._columns.time] = table[self._columns.time].dt.strftime(_ISO)
        return [
            {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124  # NaN is no JSON
            for row in table.to_dict(orient="records")
        ]


def gather_names(folder: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of the columns of the series and of the time, as KServe's server finds them.

    The environment says first, then `predictor_metadata.json` beside the predictor, then what is
    usual with AutoGluon. LoadFailure for a file that does not say.
    """
    path = folder / _METADATA
    item, time = "item_id", "timestamp"
    if path.is_file():
        try:
            said = json.loads(path.read_text())
            item, time = str(said["id_column"]), str(said["timestamp_column"])
        except (ValueError, KeyError, TypeError) as error:
            raise LoadFailure(
                "ModelCorrupt",
                f'"{_METADATA}" does not name the columns ({type(error).__name__}: {error}); write '
                '{"id_column": "item_id", "timestamp_column": "timestamp"}',
            ) from None
    return (
        environ.get("AUTOGLUON_TS_ID_COLUMN", "").strip() or item,
        environ.get("AUTOGLUON_TS_TIMESTAMP_COLUMN", "").strip() or time,
    )


def validate_rows(rows: list[Any], kind: str, names: Iterable[str]) -> None:
    """Raise InvalidInput for the first row that is no object, or lacks a name."""
    names = tuple(names)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            listed = ", ".join(f'"{name}"' for name in names)
            raise InvalidInput(f"{kind} {number} is no object; send a value for each of {listed}")
        missing = next((name for name in names if name not in row), None)
        if missing is not None:
            raise InvalidInput(f'"{missing}" is missing in {kind} {number}; send it')


def validate_numbers(rows: list[Any], kind: str, names: Iterable[str]) -> None:
    """Raise InvalidInput for the first value that is neither a number nor null."""
    for name in names:
        for number, row in enumerate(rows):
            if row[name] is not None and not isinstance(row[name], (int, float)):
                raise InvalidInput(
                    f'"{name}" holds {row[name]!r} in {kind} {number}; send a number, or null'
                )
