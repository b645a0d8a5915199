"""The part of the Common Expression Language that rules of KServe's schemas are written in.

`compiled` reads an expression once; calling it asks a value. Of CEL there are: literals, lists,
`has`, `size`, `duration`, member and index, comparisons, `in`, `+`, `&& || ! ?:`, the macros `all`,
`exists`, `exists_one` and `filter`, and the functions of strings that rules use. As in CEL an
error in one side of `&&` or `||` does not count where the other side decides (CEL specification,
"Logical operators"). Anything else is a SyntaxError when the expression is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

_Scope: TypeAlias = Mapping[str, Any]
_Node: TypeAlias = Callable[[_Scope], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<raw>r\"\"\".*?\"\"\")|(?P<text>'[^']*'|"[^"]*")|(?P<number>\d+)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[=!<>]=|[-+!<>?:.,()\[\]]))""",
    re.DOTALL,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_CONSTANTS = {"true": True, "false": False, "null": None}
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "in": lambda a, b: a in b,
}
_METHODS: Mapping[str, Callable[..., Any]] = {
    "size": len,
    "contains": lambda text, part: part in text,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
    # Go's `$` ends the text; Python's also allows a newline behind it.
    "matches": lambda text, pattern: re.search(re.sub(r"\$$", r"\\Z", pattern), text) is not None,
}
_MACROS: Mapping[str, Callable[[list[Any], list[bool]], Any]] = {
    "all": lambda _, hits: all(hits),
    "exists": lambda _, hits: any(hits),
    "exists_one": lambda _, hits: sum(hits) == 1,
    "filter": lambda items, hits: [i for i, hit in zip(items, hits, strict=True) if hit],
}


class Unanswered(Exception):
    """The expression has no answer for this value: a field that it asks for is missing."""


@lru_cache(maxsize=512)
def compiled(expression: str) -> _Node:
    """Return what answers an expression in a scope, such as `{"self": value}`.

    Raise SyntaxError naming what cannot be read; asking raises Unanswered.
    """
    reader = _Reader(expression)
    node = reader.ternary()
    reader.end()
    return node


class _Reader:
    """Reads an expression by recursive descent, from the loosest operator to the tightest."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(_tokens(expression))
        self._at = 0

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise self._unread()

    def ternary(self) -> _Node:
        asked = self._chain("||", lambda: self._chain("&&", self._comparison))
        if not self._take("?"):
            return asked
        yes = self.ternary()
        self._need(":")
        no = self.ternary()
        return lambda scope: yes(scope) if asked(scope) else no(scope)

    def _chain(self, sign: str, inner: Callable[[], _Node]) -> _Node:
        parts = [inner()]
        while self._take(sign):
            parts.append(inner())
        return parts[0] if len(parts) == 1 else _logical(parts, decisive=sign == "||")

    def _comparison(self) -> _Node:
        left = self._sum()
        sign = self._peek()
        if sign not in _COMPARISONS:
            return left
        self._at += 1
        right, compare = self._sum(), _COMPARISONS[sign]
        return lambda scope: _answered(lambda: compare(left(scope), right(scope)))

    def _sum(self) -> _Node:
        parts = [self._unary()]
        while self._take("+"):
            parts.append(self._unary())
        return parts[0] if len(parts) == 1 else lambda scope: sum(part(scope) for part in parts)

    def _unary(self) -> _Node:
        if self._take("!"):
            inner = self._unary()
            return lambda scope: not inner(scope)
        node = self._primary()
        while True:
            if self._take("."):
                node = self._member(node)
            elif self._take("["):
                node = _indexed(node, self.ternary())
                self._need("]")
            else:
                return node

    def _member(self, target: _Node) -> _Node:
        name = self._name()
        if not self._take("("):
            return lambda scope: _field(target(scope), name)
        if name in _MACROS:
            variable = self._name()
            self._need(",")
            return self._closed(_over(target, _MACROS[name], variable, self.ternary()))
        if name not in _METHODS:
            raise self._unread()
        method, arguments = _METHODS[name], [] if self._peek() == ")" else [self.ternary()]
        return self._closed(
            lambda scope: _answered(lambda: method(target(scope), *(a(scope) for a in arguments)))
        )

    def _primary(self) -> _Node:
        if self._take("("):
            return self._closed(self.ternary())
        if self._take("["):
            return self._list()
        kind, text = self._next()
        if kind in ("raw", "text", "number"):
            return _constant(int(text) if kind == "number" else text)
        if kind != "name":
            raise self._unread()
        if text in _CONSTANTS:
            return _constant(_CONSTANTS[text])
        return self._called(text) if self._take("(") else lambda scope: scope[text]

    def _called(self, function: str) -> _Node:
        inner = self._closed(self.ternary())
        match function:
            case "has":
                return lambda scope: _has(inner, scope)
            case "size":
                return lambda scope: _answered(lambda: len(inner(scope)))
            case "duration":
                return lambda scope: _seconds(inner(scope))
        raise self._unread()

    def _list(self) -> _Node:
        items = []
        while not self._take("]"):
            items.append(self.ternary())
            self._take(",")
        return lambda scope: [item(scope) for item in items]

    def _closed(self, node: _Node) -> _Node:
        self._need(")")
        return node

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise self._unread()
        self._at += 1
        return self._tokens[self._at - 1]

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "name":
            raise self._unread()
        return text

    def _take(self, sign: str) -> bool:
        if self._at == len(self._tokens) or self._tokens[self._at] != ("sign", sign):
            return False
        self._at += 1
        return True

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unread()

    def _unread(self) -> SyntaxError:
        return SyntaxError(f'"{self._peek()}" is not expected in the rule "{self._expression}"')


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise SyntaxError(f'"{text[at:]}" cannot be read in the rule "{expression}"')
        value, at = token[token.lastgroup], token.end()
        cut = {"raw": 4, "text": 1}.get(token.lastgroup, 0)
        shown = value[cut : -min(cut, 3)] if cut else value
        found.append((token.lastgroup, shown))
    return found


def _constant(value: Any) -> _Node:
    return lambda _: value


def _logical(parts: list[_Node], *, decisive: bool) -> _Node:
    def ask(scope: _Scope) -> bool:
        unanswered = None
        for part in parts:
            try:
                if bool(part(scope)) is decisive:
                    return decisive
            except Unanswered as missing:
                unanswered = missing
        if unanswered is not None:
            raise unanswered
        return not decisive

    return ask


def _over(
    target: _Node, fold: Callable[[list[Any], list[bool]], Any], variable: str, inner: _Node
) -> _Node:
    def ask(scope: _Scope) -> Any:
        items = list(target(scope))
        return fold(items, [bool(inner({**scope, variable: item})) for item in items])

    return ask


def _indexed(target: _Node, index: _Node) -> _Node:
    return lambda scope: _answered(lambda: target(scope)[index(scope)])


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise Unanswered(name)
    return value[name]


def _has(inner: _Node, scope: _Scope) -> bool:
    """Tell whether the last field of a path is there; the fields before it have to be."""
    try:
        inner(scope)
    except Unanswered:
        return False
    return True


def _answered(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (TypeError, IndexError, KeyError, re.error) as wrong:
        raise Unanswered(str(wrong)) from None


def _seconds(text: Any) -> float:
    """Return a Go duration, such as `1m30s`, in seconds."""
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", str(text)):
        raise Unanswered(str(text))
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(text))
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
