"""A PyTorch program in PyTorch: TorchScript, or what torch.export saved. Loaded, described, run.

Nothing is unpickled: `torch.load` is never asked for a model. torch.export's own loader does
unpickle and evaluates text, so its files are loaded only where the operator trusts them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.onnx_session import default_threads
from sampan.runtimes.tensor_specs import ANY, Specs, TensorSpec
from sampan.runtimes.torchscript_code import NotTorchScript, find_forbidden
from sampan.server.load_failure import LoadFailure

_TRUST = (
    'if you trust where the model comes from, set the annotation serving.sampan.dev/trust: "true" '
    "(or start the server with --trust)"
)
_DATATYPES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "bool": "BOOL", "uint8": "UINT8",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip


class PytorchSession:
    """A loaded program. `inputs` have no shape where the file tells none (TorchScript)."""

    def __init__(self, path: Path, *, trust: bool) -> None:
        """Load; LoadFailure tells what is wrong."""
        torch = _import_torch()
        threads = default_threads(os.environ)
        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self.described = path.suffix == ".pt2"
        load = _load_exported if self.described else _load_script
        self._program, self.inputs, self.outputs = load(torch, path, trust=trust)
        self._program.to(self._device)
        tensors = (*self.inputs, *self.outputs)
        self.open_axis = self.described and all(s.shape and s.shape[0] == ANY for s in tensors)
        self.takes_fractions = _takes_fractions(self._program)

    @property
    def program(self) -> Any:
        """The loaded program itself, for who follows its gradients."""
        return self._program

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Return arrays by name, all of them where none is named."""
        torch = self._torch
        try:
            tensors = [torch.as_tensor(given[spec.name].copy(), device=self._device)
                       for spec in self.inputs]  # fmt: skip
            with torch.inference_mode():
                made = _named(self._program(*tensors))
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
            last = (
                str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            )
            text = last.removeprefix("RuntimeError: ")
            raise InvalidInput(f"the model does not take these tensors: {text}") from error
        missing = [name for name in outputs if name not in made]
        if missing:
            there = ", ".join(f'"{name}"' for name in made)
            raise InvalidInput(f'unknown output "{missing[0]}"; the model has {there}')
        return {name: made[name].cpu().numpy() for name in outputs or made}


def _import_torch() -> Any:
    try:
        import torch  # type: ignore[import-not-found]  # an engine of gigabytes: no dependency
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f"torch is not in the environment ({error}); install torch, or give the image an entry "
            "in images.yaml whose requirements have it",
        ) from None
    return torch


def _load_script(torch: Any, path: Path, *, trust: bool) -> tuple[Any, Specs, Specs]:
    try:
        forbidden = find_forbidden(path)
    except NotTorchScript as what:
        raise LoadFailure(
            "ModelFormat",
            f'model file "{path.name}" is {what}, not TorchScript; save the model with '
            "torch.jit.save(torch.jit.script(model)) or torch.export.save (as .pt2)",
        ) from None
    if forbidden and not trust:
        raise LoadFailure(
            "ModelUntrusted",
            f'model file "{path.name}" calls "{forbidden}", which no model needs; {_TRUST}',
        )
    try:
        program = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:
        raise _diagnose(path, error, torch.__version__) from error
    arguments = program.forward.schema.arguments[1:]
    odd = [a for a in arguments if str(a.type) != "Tensor" and not a.has_default_value()]
    if odd:
        raise LoadFailure(
            "ModelIncompatible",
            f'forward of model file "{path.name}" takes "{odd[0].name}" of type {odd[0].type}; '
            "script a forward that takes tensors",
        )
    inputs = [a.name for a in arguments if str(a.type) == "Tensor"]
    return program, tuple(TensorSpec(name, "") for name in inputs), ()


def _load_exported(torch: Any, path: Path, *, trust: bool) -> tuple[Any, Specs, Specs]:
    if not trust:
        raise LoadFailure(
            "ModelUntrusted",
            f'model file "{path.name}" is a program of torch.export, whose loader runs what the '
            f"file says; {_TRUST}, else save it as TorchScript",
        )
    try:
        exported = torch.export.load(str(path))
    except Exception as error:
        raise _diagnose(path, error, torch.__version__) from error
    nodes = {node.name: node for node in exported.graph.nodes}
    signature = exported.graph_signature
    inputs = tuple(_spec(name, nodes[name]) for name in signature.user_inputs)
    outputs = tuple(
        _spec(f"output-{index}", nodes[name]) for index, name in enumerate(signature.user_outputs)
    )
    return exported.module(), inputs, outputs


def _spec(name: str, node: Any) -> TensorSpec:
    value = node.meta["val"]
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in _DATATYPES:
        raise LoadFailure(
            "ModelIncompatible",
            f'tensor "{name}" is of {dtype}, which V2 has no datatype for; convert it in the model',
        )
    shape = tuple(size if isinstance(size, int) else ANY for size in value.shape)
    return TensorSpec(name, _DATATYPES[dtype], shape)


def _takes_fractions(program: Any) -> bool:
    """Whether the first weights are fractions: then JSON's whole numbers are meant as such too."""
    first = next(iter(program.parameters()), None)
    embeds = any(
        getattr(module, "original_name", "").startswith("Embedding") for module in program.modules()
    )
    return first is not None and first.is_floating_point() and not embeds


def _named(made: Any) -> dict[str, Any]:
    """Return a program's result by name: `output-0` and so on, or the keys of a dict."""
    if isinstance(made, dict):
        found = {str(name): value for name, value in made.items()}
    else:
        several = made if isinstance(made, (tuple, list)) else (made,)
        found = {f"output-{index}": value for index, value in enumerate(several)}
    for name, value in found.items():
        if not hasattr(value, "cpu"):
            raise InferenceError(f'output "{name}" is a "{type(value).__name__}", not a tensor')
    return found


def _diagnose(path: Path, error: Exception, installed: str) -> LoadFailure:
    said = " ".join(str(error).split())[:400]
    kind = "ModelIncompatible" if "version" in said.lower() else "ModelCorrupt"
    mend = (
        "set runtimeVersion to the PyTorch that saved it"
        if kind == "ModelIncompatible"
        else "save it again, and check that the copy is whole"
    )
    return LoadFailure(
        kind, f'model file "{path.name}" cannot be read by torch {installed} ({said}); {mend}'
    )
