"""AutoGluon's folders and the rows of time series, without AutoGluon."""

from __future__ import annotations

import json

import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.autogluon import AutoGluonModel, make_model
from sampan.runtimes.autogluon_folder import validate_folder
from sampan.runtimes.autogluon_series import AutoGluonSeriesModel, gather_names
from sampan.server.load_failure import LoadFailure

SERIES = b"\x80\x04\x8c\x1eautogluon.timeseries.predictor"
ROW = {"item_id": "a", "timestamp": "2024-01-01", "target": 1.0}


def test_the_pickle_tells_which_predictor_it_is_and_is_not_loaded(tmp_path):
    (tmp_path / "predictor.pkl").write_bytes(SERIES)
    assert isinstance(make_model("m", str(tmp_path)), AutoGluonSeriesModel)
    (tmp_path / "predictor.pkl").write_bytes(b"\x80\x04autogluon.tabular.predictor")
    assert isinstance(make_model("m", str(tmp_path)), AutoGluonModel)
    assert isinstance(make_model("m", str(tmp_path / "nowhere")), AutoGluonModel)


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [(None, "ModelMissing", "it holds nothing"), (SERIES, "ModelUntrusted", "--trust")],
)
def test_what_cannot_be_loaded_is_told(content, reason, said, tmp_path):
    if content is not None:
        (tmp_path / "predictor.pkl").write_bytes(content)
    with pytest.raises(LoadFailure) as raised:
        validate_folder(tmp_path, trust=False)
    assert (raised.value.reason, said in raised.value.message) == (reason, True)


@pytest.mark.parametrize(
    ("file", "environ", "named"),
    [
        pytest.param(None, {}, ("item_id", "timestamp"), id="what is usual"),
        pytest.param({"id_column": "shop", "timestamp_column": "day"}, {}, ("shop", "day"),
                     id="a file beside the predictor"),
        pytest.param({"id_column": "shop", "timestamp_column": "day"},
                     {"AUTOGLUON_TS_ID_COLUMN": " store ", "AUTOGLUON_TS_TIMESTAMP_COLUMN": " "},
                     ("store", "day"), id="the environment goes first, where it says anything"),
    ],
)  # fmt: skip
def test_the_names_of_columns_come_from(file, environ, named, tmp_path):
    if file is not None:
        (tmp_path / "predictor_metadata.json").write_text(json.dumps(file))
    assert gather_names(tmp_path, environ) == named


@pytest.mark.parametrize("text", ["{", "[]", '{"id_column": "shop"}'])
def test_a_file_that_does_not_name_the_columns_is_told(text, tmp_path):
    (tmp_path / "predictor_metadata.json").write_text(text)
    with pytest.raises(LoadFailure) as raised:
        gather_names(tmp_path, {})
    assert '"predictor_metadata.json"' in raised.value.message
    assert "write" in raised.value.message


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        pytest.param(InferRequest("m", [InferInput("x", [1], "FP64", [1.0])]),
                     'send the history as {"instances": [...]} to /v1/models/m:predict', id="V2"),
        pytest.param({"rows": []}, 'Expected a JSON object with "instances"', id="no instances"),
        pytest.param({"instances": []}, "send the history of at least one series", id="no rows"),
        pytest.param({"instances": [[1, 2]]}, "instance 0 is no object", id="a list"),
        pytest.param({"instances": [ROW, {"item_id": "a", "target": 1}]},
                     '"timestamp" is missing in instance 1', id="a row without a time"),
        pytest.param({"instances": [{**ROW, "target": "many"}]},
                     "\"target\" holds 'many' in instance 0; send a number", id="text"),
    ],
)  # fmt: skip
def test_a_wrong_history_names_the_row(payload, said):
    with pytest.raises(InvalidInput) as raised:
        AutoGluonSeriesModel("m", "/nowhere").predict(payload)
    assert said in str(raised.value)
