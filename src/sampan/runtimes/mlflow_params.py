"""`params` beside the rows: what a signature declares of them, and what a request says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.suggest import did_you_mean
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest

_FITS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "datetime": (str,),
    "object": (dict,),
}
"""What each of MLflow's types is in JSON; others are MLflow's own to check."""


def take_params(payload: Any, declared: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a request sets of the declared params; InvalidInput names what is wrong.

    V1 has them under "params"; V2 among its parameters, where others mean other things.
    """
    if isinstance(payload, InferRequest):
        given = {k: v for k, v in (payload.parameters or {}).items() if k in declared}
    else:
        given = (payload.get("params") if isinstance(payload, dict) else None) or {}
    if not isinstance(given, dict):
        raise InvalidInput(f'"params" is {given!r:.80}; send an object')
    for name, value in given.items():
        _check(name, value, declared)
    return given


def _check(name: str, value: Any, declared: Mapping[str, Mapping[str, Any]]) -> None:
    spec = declared.get(name)
    if spec is None:
        known = ", ".join(declared) or "none"
        raise InvalidInput(
            f'params: "{name}" is not one that the signature declares '
            f"({known}){did_you_mean(name, declared)}; leave it out"
        )
    kinds = _FITS.get(str(spec.get("type")), (object,))
    shape = spec.get("shape")
    values = value if shape is not None and isinstance(value, list) else [value]
    wrong = next((v for v in values if not _fits(v, kinds)), None)
    if wrong is not None or (shape is not None and not isinstance(value, (list, dict))):
        what = "a list of " if shape is not None else ""
        raise InvalidInput(f'params: "{name}" is {value!r:.80}; send {what}{spec.get("type")}')


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    truth_for_number = isinstance(value, bool) and bool not in kinds and object not in kinds
    return isinstance(value, kinds) and not truth_for_number
