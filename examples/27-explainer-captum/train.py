"""Train a network of digits; save it as TorchScript for the predictor, and for the explainer.

Needs torch and scikit-learn.
"""

from pathlib import Path

import torch
from sklearn import datasets


class Digits(torch.nn.Module):
    """Images of 8 by 8 in, the probability of each digit out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(256, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a probability for each digit."""
        return torch.softmax(self.layers(images.unsqueeze(1)), dim=1)


target = Path(__file__).parent / "model"
target.mkdir(exist_ok=True)
torch.manual_seed(0)
digits, network = datasets.load_digits(), Digits()
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
images = torch.tensor(digits.images[20:] / 16, dtype=torch.float32)
classes = torch.tensor(digits.target[20:])
for _ in range(60):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network.layers(images.unsqueeze(1)), classes).backward()
    optimizer.step()
torch.jit.save(torch.jit.script(network.eval()), target / "model.pt")
print(f"trained on {len(images)} digits, saved model.pt")
