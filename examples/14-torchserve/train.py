"""Train a network of irises and pack it as TorchServe's archive, with its settings: `model/`.

Needs torch and scikit-learn. The archive is what torch-model-archiver makes: a zip with a manifest.
"""

import json
import runpy
import zipfile
from pathlib import Path

import torch
from sklearn import datasets

NETWORK = """
import torch

class Iris(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
"""
HANDLER = '''
import torch
from ts.torch_handler.base_handler import BaseHandler

class Flowers(BaseHandler):
    """A row a flower in, a class out."""

    def preprocess(self, data):
        rows = [row["body"] if isinstance(row, dict) else row for row in data]
        return torch.tensor(rows, dtype=torch.float32, device=self.device).reshape(-1, 4)

    def postprocess(self, data):
        return data.argmax(dim=1).tolist()
'''

target = Path(__file__).parent / "model"
(target / "model-store").mkdir(parents=True, exist_ok=True)
(target / "config").mkdir(exist_ok=True)
(target / "network.py").write_text(NETWORK)
torch.manual_seed(0)
iris = datasets.load_iris()
network = runpy.run_path(str(target / "network.py"))["Iris"]()
optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
rows, classes = torch.tensor(iris.data, dtype=torch.float32), torch.tensor(iris.target)
for _ in range(200):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(rows), classes).backward()
    optimizer.step()
weights = target / "weights.pt"
torch.save(network.state_dict(), weights)
model = {
    "modelName": "iris",
    "modelVersion": "1.0",
    "handler": "flowers.py",
    "modelFile": "network.py",
    "serializedFile": "weights.pt",
}
with zipfile.ZipFile(target / "model-store" / "iris.mar", "w") as archive:
    archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
    archive.write(target / "network.py", "network.py")
    archive.writestr("flowers.py", HANDLER)
    archive.write(weights, "weights.pt")
weights.unlink()
(target / "network.py").unlink()
(target / "config" / "config.properties").write_text("load_models=all\n")
print(f"trained on {len(iris.data)} flowers, saved model-store/iris.mar")
