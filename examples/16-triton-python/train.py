"""Train a classifier of irises, write it as a Python model of a Triton repository, `model/`."""

from pathlib import Path

import numpy as np
from sklearn import datasets

CONFIG = """
name: "iris"
backend: "python"
max_batch_size: 64
input [ { name: "flowers" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "species" data_type: TYPE_INT64 dims: [ 1 ] } ]
"""
MODEL = '''
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The class whose middle is nearest."""

    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"]
        self.middles = np.load(folder / "middles.npy")

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        flowers = pb_utils.get_input_tensor_by_name(request, "flowers").as_numpy()
        distances = np.linalg.norm(flowers[:, None] - self.middles, axis=2)
        species = distances.argmin(axis=1).astype(np.int64)[:, None]
        return pb_utils.InferenceResponse([pb_utils.Tensor("species", species)])
'''

target = Path(__file__).parent / "model" / "iris"
(target / "1").mkdir(parents=True, exist_ok=True)
iris = datasets.load_iris()
middles = [iris.data[iris.target == number].mean(axis=0) for number in range(3)]
np.save(target / "1" / "middles.npy", np.array(middles, dtype=np.float32))
(target / "1" / "model.py").write_text(MODEL)
(target / "config.pbtxt").write_text(CONFIG)
print(f"trained on {len(iris.data)} flowers, saved iris/1/model.py")
