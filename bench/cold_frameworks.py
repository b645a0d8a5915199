"""Models whose load takes a while by itself: training one, how long it takes, serving it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.setting import CannotMeasure, Setting

COLUMNS = 50
BODY = json.dumps({"instances": [[0.5] * COLUMNS]}).encode()
"""A row to predict of."""

_XGBOOST_TRAIN = """
import sys, numpy, xgboost
chance = numpy.random.default_rng(0)
rows = chance.random((4000, 50))
data = xgboost.DMatrix(rows, rows[:, 0] > rows[:, 1])
settings = {"max_depth": 8, "objective": "binary:logistic", "nthread": 1, "subsample": 0.5}
xgboost.train(settings, data, num_boost_round=400).save_model(sys.argv[1])
"""
_XGBOOST_LOAD = """
import sys, time, numpy, xgboost
began = time.perf_counter()
booster = xgboost.Booster({"nthread": 1}, model_file=sys.argv[1])
booster.inplace_predict(numpy.full((1, 50), 0.5))
print((time.perf_counter() - began) * 1000)
"""
_TORCH_TRAIN = """
import sys, torch
layers = [torch.nn.Linear(50, 2000)]
for _ in range(4):
    layers += [torch.nn.ReLU(), torch.nn.Linear(2000, 2000)]
net = torch.nn.Sequential(*layers, torch.nn.Linear(2000, 1)).eval()
torch.jit.save(torch.jit.script(net), sys.argv[1])
"""
_TORCH_LOAD = """
import sys, time, torch
torch.set_num_threads(1)
began = time.perf_counter()
net = torch.jit.load(sys.argv[1])
with torch.inference_mode():
    net(torch.full((1, 50), 0.5))
print((time.perf_counter() - began) * 1000)
"""


@dataclass(frozen=True)
class Framework:
    """`file` is what a model is saved as; `objects` are applied before the service, if any."""

    model_format: str
    file: str
    train: str
    load: str
    objects: tuple[dict, ...] = ()


_TORCH_RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "pytorch-program", "namespace": "default"},
    "spec": {
        "supportedModelFormats": [{"name": "torchscript", "autoSelect": True}],
        "protocolVersions": ["v1", "v2"],
        "containers": [
            {
                "name": "kserve-container",
                "image": "sampan/pytorchserver:latest",
                "args": [
                    "--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080",
                ],
            }
        ],
    },
}  # fmt: skip

FRAMEWORKS = {
    "xgboost": Framework("xgboost", "model.json", _XGBOOST_TRAIN, _XGBOOST_LOAD),
    "torch": Framework("torchscript", "model.pt", _TORCH_TRAIN, _TORCH_LOAD, (_TORCH_RUNTIME,)),
}


def find_python(setting: Setting, name: str) -> str:
    """Return an interpreter that has the framework; raise CannotMeasure where none is here.

    XGBoost is among what tests need; PyTorch has an environment of its own.
    """
    if name != "torch":
        return setting.python
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = base / "sampan" / "engines" / "torch" / "bin" / "python"
    if not python.exists():
        raise CannotMeasure(f'PyTorch is not in "{python.parent.parent}"; make test-engines')
    return str(python)


def train(setting: Setting, name: str) -> Path:
    """Return the folder of a framework's model, trained once."""
    python, framework = find_python(setting, name), FRAMEWORKS[name]
    folder = setting.cache / f"cold-{name}"
    target = folder / framework.file
    if not target.exists():
        folder.mkdir(exist_ok=True)
        fresh = target.with_name(f"fresh-{target.name}")
        subprocess.run([python, "-c", framework.train, str(fresh)], check=True)
        fresh.replace(target)
    return folder


def own_load(setting: Setting, name: str, folder: Path) -> float:
    """Return the milliseconds of load and first prediction in a process with no server around.

    The framework is imported already, as it is in a zygote.
    """
    framework = FRAMEWORKS[name]
    command = [find_python(setting, name), "-c", framework.load, str(folder / framework.file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)
