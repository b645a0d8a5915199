"""Train a network of irises and save it as a TorchScript program, `model/model.pt`.

Needs torch and scikit-learn.
"""

from pathlib import Path

import torch
from sklearn import datasets


class Iris(torch.nn.Module):
    """Four numbers a flower in, its class out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
        )

    def forward(self, flowers: torch.Tensor) -> torch.Tensor:
        """Return the class of each row."""
        return self.layers(flowers).argmax(dim=1)


target = Path(__file__).parent / "model"
target.mkdir(exist_ok=True)
torch.manual_seed(0)
iris, network = datasets.load_iris(), Iris()
optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
rows, classes = torch.tensor(iris.data, dtype=torch.float32), torch.tensor(iris.target)
for _ in range(200):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network.layers(rows), classes).backward()
    optimizer.step()
torch.jit.save(torch.jit.script(network.eval()), target / "model.pt")
print(f"trained on {len(iris.data)} flowers, saved model.pt")
