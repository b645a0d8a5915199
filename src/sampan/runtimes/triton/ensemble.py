"""Ensembles: models of the repository in a row or side by side, tensors handed on between them.

The steps run one after the other, as soon as their inputs are there; nothing is copied in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from sampan.runtimes.tensor_specs import Specs
from sampan.runtimes.triton.config import CONFIG_FILE, ModelConfig, Step
from sampan.server.load_failure import LoadFailure

Infer: TypeAlias = Callable[[str, str, Mapping[str, Any], Sequence[str]], Mapping[str, Any]]


class Ensemble:
    """The backend of an ensemble: asks the models of its steps."""

    quick = False
    inputs: Specs | None = None
    outputs: Specs | None = None

    def __init__(self, config: ModelConfig, infer: Infer) -> None:
        self._steps = order_steps(config)
        self._infer = infer

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Run the steps; what one of them raises is what the ensemble raises."""
        values = dict(given)
        for step in self._steps:
            arrays = {tensor: values[name] for tensor, name in step.inputs.items()}
            answer = self._infer(step.model, step.version, arrays, list(step.outputs))
            values |= {name: answer[tensor] for tensor, name in step.outputs.items()}
        return {name: values[name] for name in outputs}

    def close(self) -> None:
        """Nothing is held: the models are the repository's."""


def order_steps(config: ModelConfig) -> tuple[Step, ...]:
    """Return the steps so that each has its inputs; LoadFailure where that cannot be. Pure."""
    made = {spec.name for spec in config.inputs}
    for step in config.steps:
        for name in step.outputs.values():
            if name in made:
                raise _wrong(config, f'tensor "{name}" is made twice; name the second otherwise')
            made.add(name)
    ordered: list[Step] = []
    known = {spec.name for spec in config.inputs}
    waiting = list(config.steps)
    while waiting:
        able = [step for step in waiting if set(step.inputs.values()) <= known]
        if not able:
            lacking = {name for step in waiting for name in step.inputs.values()} - known
            nowhere = lacking - made
            why = "is made by no step" if nowhere else "waits for itself"
            raise _wrong(config, f'tensor "{min(nowhere or lacking)}" {why}; mend the maps')
        ordered += able
        known |= {name for step in able for name in step.outputs.values()}
        waiting = [step for step in waiting if step not in able]
    for spec in config.outputs:
        if spec.name not in known:
            raise _wrong(
                config, f'output "{spec.name}" is made by no step; name it in an output_map'
            )
    return tuple(ordered)


def validate_models(config: ModelConfig, there: Collection[str]) -> None:
    """Raise LoadFailure where a step asks a model that is not in the repository. Pure."""
    for step in config.steps:
        if step.model not in there:
            listed = ", ".join(f'"{name}"' for name in sorted(there))
            raise LoadFailure(
                "ModelMissing",
                f'ensemble "{config.name}", {CONFIG_FILE}: a step asks model "{step.model}", which '
                f"is not in the repository ({listed} are); put it there, or mend model_name",
            )


def _wrong(config: ModelConfig, what: str) -> LoadFailure:
    return LoadFailure("ModelIncompatible", f'ensemble "{config.name}", {CONFIG_FILE}: {what}')
