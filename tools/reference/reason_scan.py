"""Every reason that the source can give, found by the calls that carry one.

A reason is a CamelCase word among the arguments of such a call, given as text or by the name of a
constant; exits and exceptions give theirs by `return` and by `reason = ...`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "sampan"

_CARRIERS = frozenset(
    (
        "Blocked", "Condition", "Failure", "GatewayError", "Link", "LoadFailure", "PlannedEvent",
        "Problem", "StorageError", "Unread", "ZygoteFailed", "_fail", "_fail_all", "_refuse",
        "_set", "_start_failed", "terminate_with",
    )
)  # fmt: skip
_CONDITION_TYPES = frozenset(
    (
        "Ready",
        "PredictorReady",
        "CanaryPredictorReady",
        "IngressReady",
        "Stopped",
        "ScalingActive",
        "ScalingLimited",
    )
)
_PACKAGES = ("app", "gateway", "operator", "plan", "platforms", "runtimes", "server", "storage")
_REASON = re.compile(r"[A-Z][a-z]+([A-Z]+[a-z]*)+|Unhealthy|Stopped|Completed|Error|OOMKilled")


def find_reasons() -> dict[str, frozenset[str]]:
    """Return each reason with the packages that give it."""
    found: dict[str, set[str]] = {}
    for package in _PACKAGES:
        for path in sorted((SOURCE / package).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            for reason in _reasons(tree):
                found.setdefault(reason, set()).add(package)
    return {reason: frozenset(packages) for reason, packages in sorted(found.items())}


def _reasons(tree: ast.Module) -> Iterator[str]:
    constants = dict(_constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in _CARRIERS:
            texts = (t for a in node.args for t in _texts(a, constants))
            yield from (t for t in texts if _REASON.fullmatch(t) and t not in _CONDITION_TYPES)
        elif isinstance(node, ast.FunctionDef) and node.name == "_reason":
            yield from _returned(node)
        elif isinstance(node, ast.ClassDef):
            yield from (text for name, text in _constants(node) if name == "reason")


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _constants(scope: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield names of texts: those of this scope, and those imported from the conditions."""
    for node in scope.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                    yield target.id, node.value.value
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from _imported(node)


def _imported(node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    from importlib import import_module

    if node.module and node.module.startswith(("sampan.plan", "sampan.api.inferenceservice")):
        for alias in node.names:
            value = getattr(import_module(node.module), alias.name, None)
            if isinstance(value, str):
                yield alias.name, str(value)


def _texts(argument: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    """Yield the texts that an argument may be: `a or B` and `A if c else B` may be several."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value
    elif isinstance(argument, ast.Name) and argument.id in constants:
        yield constants[argument.id]
    elif isinstance(argument, ast.BoolOp):
        for value in argument.values:
            yield from _texts(value, constants)
    elif isinstance(argument, ast.IfExp):
        yield from _texts(argument.body, constants)
        yield from _texts(argument.orelse, constants)


def _returned(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from (t for t in _texts(node.value, {}) if _REASON.fullmatch(t))
