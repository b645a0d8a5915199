# /// script
# dependencies = ["paddlepaddle==3.3.1", "setuptools", "scikit-learn==1.9.1"]
# ///
"""Train a network of irises and save it as a program of Paddle, `model/model.json`."""

from pathlib import Path

import paddle
from sklearn import datasets


class Iris(paddle.nn.Layer):
    """Four numbers a flower in, its class out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = paddle.nn.Sequential(
            paddle.nn.Linear(4, 16), paddle.nn.ReLU(), paddle.nn.Linear(16, 3)
        )

    def forward(self, flowers: paddle.Tensor) -> paddle.Tensor:
        """Return the class of each row."""
        return self.layers(flowers).argmax(axis=1)


target = Path(__file__).parent / "model"
paddle.seed(0)
iris, network = datasets.load_iris(), Iris()
optimizer = paddle.optimizer.Adam(0.02, parameters=network.parameters())
rows, classes = paddle.to_tensor(iris.data, "float32"), paddle.to_tensor(iris.target)
for _ in range(200):
    loss = paddle.nn.functional.cross_entropy(network.layers(rows), classes)
    loss.backward()
    optimizer.step()
    optimizer.clear_grad()
network.eval()
flowers = paddle.static.InputSpec([None, 4], "float32", "flowers")
paddle.jit.save(network, str(target / "model"), input_spec=[flowers])
print(f"trained on {len(iris.data)} flowers, saved model.json and model.pdiparams")
