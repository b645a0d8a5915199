"""Train a classifier of irises, write it as an ONNX graph: `model/iris/1/model.onnx`.

The graph is that of a logistic regression: a matrix product, a sum, a softmax.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, save
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

flowers = datasets.load_iris()
fitted = LogisticRegression(max_iter=1000).fit(flowers.data, flowers.target)
graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["flowers", "weights"], ["products"]),
        helper.make_node("Add", ["products", "intercept"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
    ],
    "iris",
    [helper.make_tensor_value_info("flowers", TensorProto.FLOAT, ["n", 4])],
    [
        helper.make_tensor_value_info("class", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3]),
    ],
    [
        helper.make_tensor("weights", TensorProto.FLOAT, [4, 3], fitted.coef_.T.ravel()),
        helper.make_tensor("intercept", TensorProto.FLOAT, [3], np.ravel(fitted.intercept_)),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 8  # what older engines read too
target = Path(__file__).parent / "model" / "iris" / "1" / "model.onnx"
target.parent.mkdir(parents=True, exist_ok=True)
save(model, target)
print(f"trained on {len(flowers.data)} flowers, saved {target.name}")
