"""What a Paddle program says of itself, read off its file; nothing is run.

Paddle 3 writes programs as JSON (`.json`, its intermediate representation), older ones as a message
(`.pdmodel`, `framework.proto`). Operators that touch files or run Python are named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import protobuf
from sampan.protocol.grpc.protobuf import fields, signed, text
from sampan.runtimes.tensor_specs import TensorSpec
from sampan.server.load_failure import LoadFailure

_FORBIDDEN = re.compile(
    r"(load|save)(_combine\w*|_selected_rows\w*)?|py_func\w*|run_program|read_file|print|"
    r"send\w*|recv\w*|listen_and_serv|distributed_\w+|c_gen_\w+|gen_\w+_id"
)
"""Operators by name: files, Python, other machines."""

_NAMES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "bool": "BOOL", "uint8": "UINT8",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip
_NUMBERS = {
    0: "BOOL", 1: "INT16", 2: "INT32", 3: "INT64", 4: "FP16", 5: "FP32", 6: "FP64", 20: "UINT8",
    21: "INT8",
}  # fmt: skip
"""Datatypes of `VarType.Type` by number."""


@dataclass(frozen=True, slots=True)
class Program:
    """The inputs of a program, and the operators that it has no business with."""

    inputs: tuple[TensorSpec, ...]
    forbidden: tuple[str, ...]


def read_program(path: Path) -> Program:
    """Return what a program's file says; LoadFailure where it is none."""
    raw = path.read_bytes()
    try:
        return _read_json(json.loads(raw)) if path.suffix == ".json" else _read_message(raw)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidInput) as error:
        raise LoadFailure(
            "ModelCorrupt",
            f'model file "{path.name}" is no Paddle program ({error}); save it again with '
            "paddle.jit.save, and check that the copy is whole",
        ) from None


# -- JSON ------------------------------------------------------------------------------------


def _read_json(document: JsonObject) -> Program:
    if document["base_code"]["magic"] != "pir":
        raise ValueError("its base_code is not pir")
    operators = list(_operators(document["program"]))
    inputs = (_spec(one) for one in operators if _name(one) == "data")
    return Program(tuple(inputs), _select_forbidden(_name(one) for one in operators))


def _operators(node: Any) -> Iterator[JsonObject]:
    """Yield every operator, also of blocks within operators."""
    waiting = [node]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if "#" in value and "I" in value:
                yield value
            waiting += value.values()


def _name(operator: JsonObject) -> str:
    return str(operator["#"]).rpartition(".")[2]


def _spec(operator: JsonObject) -> TensorSpec:
    told = {item["N"]: item["AT"]["D"] for item in operator["A"]}
    shape = tuple(int(size) for size in told["shape"])
    return TensorSpec(told["name"], _NAMES.get(told["dtype"], "FP32"), shape)


# -- messages --------------------------------------------------------------------------------


def _read_message(data: bytes) -> Program:
    """Read a ProgramDesc: blocks of variables and operators."""
    variables: dict[str, TensorSpec] = {}
    operators: list[str] = []
    fed: list[str] = []
    for tag, start, stop in fields(data, 0, len(data)):
        if tag != _field(1):
            continue
        for inner, begin, close in fields(data, start, stop):
            if inner == _field(3):
                spec = _variable(data, begin, close)
                variables[spec.name] = spec
            elif inner == _field(4):
                kind, outputs = _operator(data, begin, close)
                operators.append(kind)
                fed += outputs if kind == "feed" else []
    if not operators:
        raise ValueError("it holds no operator")
    inputs = tuple(variables.get(name, TensorSpec(name, "FP32")) for name in fed)
    return Program(inputs, _select_forbidden(operators))


def _variable(data: bytes, at: int, end: int) -> TensorSpec:
    """Return a VarDesc: `type` is 2, in it `lod_tensor` 3, in it `tensor` 1."""
    name, datatype, sizes = "", "FP32", list[int]()
    for tag, start, stop in fields(data, at, end):
        if tag == _field(1):
            name = text(data, start, stop)
        elif tag == _field(2):
            for begin, close in _inside(data, (start, stop), 3, 1):
                for one, value, finish in fields(data, begin, close):
                    if one == 1 << 3:
                        datatype = _NUMBERS.get(value, "FP32")
                    elif one == 2 << 3:
                        sizes.append(signed(value))
                    elif one == _field(2):
                        sizes += _packed(data, value, finish)
    return TensorSpec(name, datatype, tuple(sizes) or None)


def _operator(data: bytes, at: int, end: int) -> tuple[str, list[str]]:
    """Return an OpDesc's type (3) and the names of its outputs (2, arguments 2)."""
    kind, outputs = "", list[str]()
    for tag, start, stop in fields(data, at, end):
        if tag == _field(3):
            kind = text(data, start, stop)
        elif tag == _field(2):
            outputs += [text(data, *place) for place in _inside(data, (start, stop), 2)]
    return kind, outputs


def _inside(data: bytes, place: tuple[int, int], *path: int) -> Iterator[tuple[int, int]]:
    """Yield where the fields of a path of numbers lie within a message."""
    number, *rest = path
    for tag, start, stop in fields(data, *place):
        if tag == _field(number):
            if rest:
                yield from _inside(data, (start, stop), *rest)
            else:
                yield start, stop


def _packed(data: bytes, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = protobuf.read_varint(data, at, end)
        yield signed(value)


def _field(number: int) -> int:
    return number << 3 | protobuf.LENGTH


def _select_forbidden(names: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if _FORBIDDEN.fullmatch(name)}))
