"""Every model format against the servers that its users run today.

The same model on all sides, default flags but the ports, peers in environments of their own, ours
in the one that the platform builds, sides in turn, medians of the rounds. A peer that does not
install is named in its row.
"""

from __future__ import annotations

from functools import partial

from bench.runtime_rows import bento, onnx, tabular, tensors, torchserve

benches = {
    "xgboost kserve": partial(tabular.kserve, name="xgboost"),
    "xgboost mlserver": partial(tabular.mlserver, name="xgboost"),
    "lightgbm kserve": partial(tabular.kserve, name="lightgbm"),
    "lightgbm mlserver": partial(tabular.mlserver, name="lightgbm"),
    "pmml kserve": partial(tabular.kserve, name="pmml"),
    "mlflow serve": tabular.mlflow,
    "mlflow mlserver": partial(tabular.mlserver, name="mlflow", goal=5),
    "onnx kserve": onnx.serve,
    "onnx engine": onnx.share,
    "tensorflow kserve": tensors.tensorflow,
    "torchserve": torchserve.serve,
    "bentoml serve": bento.serve,
}
