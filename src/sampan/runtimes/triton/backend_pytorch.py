"""Triton's backend "pytorch": a TorchScript file whose tensors the configuration names.

A name that ends in `__0`, `__1` tells the argument's or result's place; else the forward's own
names hold, else the order of the configuration (Triton's naming convention).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sampan.protocol.errors import InferenceError
from sampan.runtimes.pytorch_session import PytorchSession
from sampan.runtimes.tensor_specs import Specs
from sampan.runtimes.triton.backends import Source
from sampan.runtimes.triton.config import CONFIG_FILE
from sampan.server.load_failure import LoadFailure

_PLACED = re.compile(r".+__(\d+)")


class PytorchBackend:
    """One program, however many instances."""

    quick = False
    inputs: Specs | None = None
    outputs: Specs | None = None

    def __init__(self, source: Source) -> None:
        config = source.config
        self._session = PytorchSession(source.path, trust=source.trust)
        own = [spec.name for spec in self._session.inputs]
        self._inputs = match_names([spec.name for spec in config.inputs], own)
        if sorted(self._inputs.values()) != sorted(own):
            raise LoadFailure(
                "ModelIncompatible",
                f'model "{config.name}", {CONFIG_FILE}: forward takes {", ".join(own)}, and the '
                f"inputs are {', '.join(self._inputs) or 'none'}; name one for each, as INPUT__0",
            )
        self._outputs = [spec.name for spec in config.outputs]

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Run the program, its arguments and results by the configuration's names."""
        made = self._session.run({self._inputs[name]: array for name, array in given.items()}, [])
        places = match_names(self._outputs, list(made))
        missing = [name for name in outputs if name not in places]
        if missing:
            raise InferenceError(
                f'the program gives {len(made)} results, none of them for output "{missing[0]}"; '
                "name as many outputs as it gives"
            )
        return {name: made[places[name]] for name in outputs}

    def close(self) -> None:
        """Nothing is held but memory."""


def match_names(names: Sequence[str], own: Sequence[str]) -> dict[str, str]:
    """Return the program's own name of each configured one that has a place in it. Pure."""
    if set(names) <= set(own):
        return {name: name for name in names}
    placed = {name: found for name in names if (found := _PLACED.fullmatch(name))}
    if len(placed) == len(names):
        indexes = {name: int(found[1]) for name, found in placed.items()}
        return {name: own[index] for name, index in indexes.items() if index < len(own)}
    return dict(zip(names, own, strict=False))
