"""Projects of the kinds that MLServer's documentation shows, each with requests to ask it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import xgboost
from sklearn.datasets import load_iris
from sklearn.svm import SVC

X, Y = load_iris(return_X_y=True)
ROWS = [[6.8, 2.8, 4.8, 1.4], [5.1, 3.5, 1.4, 0.2]]

JSON_MODEL = """
import json

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class EchoJson(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        told = {i.name: json.loads("".join(self.decode(i, StringCodec))) for i in payload.inputs}
        out = StringCodec.encode_output("echo", [json.dumps({"got": told, "of": self.version})])
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[out])
"""
CODECS = """
from typing import List

import numpy as np
import pandas as pd
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec, decode_args
from mlserver.types import InferenceRequest, InferenceResponse


class Tensors(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        array = self.decode_request(payload, default_codec=NumpyRequestCodec)
        return NumpyRequestCodec.encode_response(self.name, array * 2, self.version)


class Frames(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        frame = self.decode_request(payload, default_codec=PandasCodec)
        total = frame.select_dtypes("number").sum(axis=1)
        made = pd.DataFrame({"total": total, "letters": frame.iloc[:, 0].map(len)})
        return PandasCodec.encode_response(self.name, made, self.version)


class Named(MLModel):
    @decode_args
    async def predict(self, numbers: np.ndarray, words: List[str]) -> np.ndarray:
        return np.array([len(word) * n for word, n in zip(words, numbers.ravel())])
"""
STREAM = """
from collections.abc import AsyncIterator

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Words(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (text,) = StringCodec.decode_input(payload.inputs[0])
        return self._made(text)

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        payload = [one async for one in payloads][-1]
        (text,) = StringCodec.decode_input(payload.inputs[0])
        for word in text.split():
            yield self._made(word)

    def _made(self, text: str) -> InferenceResponse:
        out = StringCodec.encode_output("output", [text])
        return InferenceResponse(model_name=self.name, outputs=[out])
"""
CUSTOM_METRICS = """
import mlserver
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Measured(MLModel):
    async def load(self) -> bool:
        mlserver.register("asked", "how often it was asked")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        mlserver.log(asked=1)
        out = NumpyCodec.encode_output("out", NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[out])
"""


def tensor(name: str, values: Any, datatype: str, **parameters: Any) -> dict[str, Any]:
    """Return an input of V2."""
    array = np.array(values)
    made = {"name": name, "shape": list(array.shape), "datatype": datatype,
            "data": array.ravel().tolist()}  # fmt: skip
    return {**made, "parameters": parameters} if parameters else made


def asked(*inputs: dict[str, Any], **further: Any) -> dict[str, Any]:
    """Return a request of V2."""
    return {"id": "7", "inputs": list(inputs), **further}


MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "iris-sklearn": ({"implementation": "mlserver_sklearn.SKLearnModel",
                      "parameters": {"uri": "./model.joblib", "version": "v0.1.0"}}, ""),
    "iris-xgboost": ({"implementation": "mlserver_xgboost.XGBoostModel",
                      "parameters": {"uri": "./model.json", "version": "v0.1.0"}}, ""),
    "iris-lightgbm": ({"implementation": "mlserver_lightgbm.LightGBMModel",
                       "parameters": {"uri": "./model.bst", "version": "v0.1.0"}}, ""),
    "echo-json": ({"implementation": "own_json.EchoJson", "parameters": {"version": "v2"}},
                  JSON_MODEL),
    "tensors": ({"implementation": "own_codecs.Tensors"}, CODECS),
    "frames": ({"implementation": "own_codecs.Frames"}, CODECS),
    "named": ({"implementation": "own_codecs.Named"}, CODECS),
    "words": ({"implementation": "own_stream.Words"}, STREAM),
    "measured": ({"implementation": "own_metrics.Measured"}, CUSTOM_METRICS),
}  # fmt: skip
"""Settings and code of each model of the project."""

_SAVED = "iris-"
_NP = tensor("x", ROWS, "FP64")
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "scikit-learn predicts": ("iris-sklearn", asked(tensor("predict", ROWS, "FP32"))),
    "scikit-learn by an output's name": (
        "iris-sklearn", asked(_NP, outputs=[{"name": "predict"}])),
    "XGBoost predicts": ("iris-xgboost", asked(tensor("predict-prob", ROWS, "FP32"))),
    "LightGBM predicts": ("iris-lightgbm", asked(tensor("predict-prob", ROWS, "FP32"))),
    "JSON in a text": ("echo-json", asked(tensor("doc", ['{"a": [1, 2]}'], "BYTES"))),
    "an array without a content type": ("tensors", asked(_NP)),
    "an array by its content type": (
        "tensors", asked(tensor("x", ROWS, "FP64", content_type="np"))),
    "an array of whole numbers": ("tensors", asked(tensor("x", [[1, 2], [3, 4]], "INT64"))),
    "a DataFrame": ("frames", asked(
        tensor("name", ["a", "b"], "BYTES", content_type="str"),
        tensor("x", [1.5, 2.5], "FP64"), tensor("y", [1, 2], "INT32"),
        parameters={"content_type": "pd"})),
    "arguments by name": ("named", asked(
        tensor("numbers", [1, 2], "INT64"),
        tensor("words", ["a", "bcd"], "BYTES", content_type="str"))),
    "a whole answer of a model that streams": ("words", asked(
        tensor("text", ["one two"], "BYTES"))),
}  # fmt: skip


def save_project(root: Path) -> Path:
    """Write every model as a project has it: a folder each, settings, code or a model file."""
    for name, (settings, code) in MODELS.items():
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "model-settings.json").write_text(json.dumps({"name": name, **settings}))
        if code:
            module = str(settings["implementation"]).partition(".")[0]
            (folder / f"{module}.py").write_text(code)
    joblib.dump(SVC(gamma="scale").fit(X, Y), root / "iris-sklearn" / "model.joblib")
    xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(X, Y), 5
                  ).save_model(root / "iris-xgboost" / "model.json")  # fmt: skip
    lightgbm.train(
        {"objective": "multiclass", "num_class": 3, "verbosity": -1}, lightgbm.Dataset(X, Y), 5
    ).save_model(root / "iris-lightgbm" / "model.bst")
    return root
