"""JSON patch (RFC 6902) over JSON pointers (RFC 6901). All operations happen, or none."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from sampan.machinery.errors import BadRequest, FieldError, Invalid, Subject
from sampan.machinery.patch.merge_patch import same_json
from sampan.machinery.suggest import did_you_mean

MAX_OPERATIONS = 10_000
"""As Kubernetes: a longer patch is more likely a mistake or an attack."""

MAX_COPIED = 3 * 1024**2
"""As Kubernetes (its AccumulatedCopySizeLimit): bytes that all "copy" of a patch may take. Each may
double a document, so that sixty small ones would take all memory."""

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_INDEX = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)


class _Wrong(Exception):
    """What is wrong with one operation, without its index and path."""


def json_patch(target: Any, operations: Any, subject: Subject | None = None) -> Any:
    """Return the target with all operations applied, in order.

    Raises BadRequest for a patch that is not well formed and Invalid (422, as Kubernetes) for one
    that does not fit the target; both name the operation's index and path.
    """
    if not isinstance(operations, list):
        raise BadRequest("a JSON patch is a list of operations; send [{...}]")
    if len(operations) > MAX_OPERATIONS:
        raise BadRequest(f"{len(operations)} operations, at most {MAX_OPERATIONS} are taken")
    for index, operation in enumerate(operations):
        _check_shape(index, operation)
    document = {"": copy.deepcopy(target)}
    copied = 0
    for index, operation in enumerate(operations):
        try:
            if operation["op"] == "copy":
                copied += _measure_copy(document, operation["from"], MAX_COPIED - copied)
            _operate(document, operation)
        except RecursionError:
            raise BadRequest(f"operation {index}: the value nests too deeply; flatten it") from None
        except _Wrong as wrong:
            where = f'operation {index} ({operation["op"]} "{operation["path"]}")'
            error = FieldError("patch", f"{where}: {wrong}")
            raise Invalid(subject or Subject("patch"), [error]) from None
    return document[""]


def _check_shape(index: int, operation: Any) -> None:
    at = f"operation {index}"
    if not isinstance(operation, Mapping):
        raise BadRequest(f'{at}: an object with "op" and "path" is expected')
    op = operation.get("op")
    if op not in _OPERATIONS:
        known = ", ".join(_OPERATIONS)
        raise BadRequest(f'{at}: "{op}" is none of {known}{did_you_mean(str(op), _OPERATIONS)}')
    names = ("path", "from") if op in ("move", "copy") else ("path",)
    for name in names:
        pointer = operation.get(name)
        if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
            raise BadRequest(f'{at} ({op}): "{name}" is a JSON pointer such as "/spec/replicas"')
    if op in ("add", "replace", "test") and "value" not in operation:
        raise BadRequest(f'{at} ({op} "{operation["path"]}"): "value" is missing')


def _operate(document: dict[str, Any], operation: Mapping[str, Any]) -> None:
    path = _tokens(operation["path"])
    match operation["op"]:
        case "add":
            _add(document, path, copy.deepcopy(operation["value"]))
        case "remove":
            _remove(document, path)
        case "replace":
            _remove(document, path)
            _add(document, path, copy.deepcopy(operation["value"]))
        case "test":
            if not same_json(_get(document, path), operation["value"]):
                raise _Wrong(f"the test does not hold; the value is {_get(document, path)!r:.80}")
        case "copy":
            _add(document, path, copy.deepcopy(_get(document, _tokens(operation["from"]))))
        case _:
            source = _tokens(operation["from"])
            if path[: len(source)] == source and path != source:
                raise _Wrong(f'"{operation["from"]}" cannot be moved into itself')
            value = _get(document, source)
            if path != source:
                _remove(document, source)
                _add(document, path, value)


def _measure_copy(document: dict[str, Any], source: str, left: int) -> int:
    """Return about how many bytes a copy takes; refuse one that takes more than are left."""
    size, waiting = 0, [_get(document, _tokens(source))]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        size += len(value) + 2 if isinstance(value, str) else 8
        if size > left:
            raise _Wrong(f"all copies together take over {MAX_COPIED} bytes; send fewer of them")
    return size


def _tokens(pointer: str) -> list[str]:
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")]


def _get(node: Any, path: list[str]) -> Any:
    for token in path:
        node = _child(node, token)
    return node


def _child(node: Any, token: str) -> Any:
    if isinstance(node, dict):
        if token not in node:
            raise _Wrong(f'there is no "{token}"{did_you_mean(token, node)}')
        return node[token]
    if isinstance(node, list):
        return node[_index(token, len(node) - 1)]
    raise _Wrong(f'"{token}" is asked of a value that is no object and no list')


def _add(document: dict[str, Any], path: list[str], value: Any) -> None:
    parent, token = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[token] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else _index(token, len(parent)), value)
    else:
        raise _Wrong(f'"{token}" is asked of a value that is no object and no list')


def _remove(document: dict[str, Any], path: list[str]) -> None:
    parent, token = _get(document, path[:-1]), path[-1]
    _child(parent, token)
    if isinstance(parent, list):
        del parent[int(token)]
    elif path == [""]:
        document[""] = None
    else:
        del parent[token]


def _index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token):
        raise _Wrong(f'"{token}" is no list index; use 0 to {last}')
    if int(token) > last:
        raise _Wrong(f"index {token} is past the end; the last is {last}")
    return int(token)
