"""Protobuf's text format, as `config.pbtxt` is written, to plain values. Pure.

Read by tables as those of `schema`: a field that they do not have, or a value that does not fit it,
is an error with its line. (Protocol Buffers, "Text Format Language Specification".)
"""

from __future__ import annotations

import ast
import re
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import suggest
from sampan.runtimes.triton.schema import ENUMS, MESSAGES, WHOLE, Field, Tables

_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>-?\s*(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fF]?)
      | (?P<mark>[{}\[\]<>:,;])""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 32
"""Messages within messages: Triton's `ModelConfig` goes five deep."""


class PbtxtError(ValueError):
    """Text that is no message of the schema; says the line and what would mend it."""


def parse(text: str, message: str, tables: Tables = MESSAGES) -> JsonObject:
    """Return the fields that are set: numbers, text, truth values, enum names, lists and dicts."""
    reader = _Reader(text, tables)
    return reader.message(message, "", 0)


class _Reader:
    """Takes the tokens one by one."""

    def __init__(self, text: str, tables: Tables) -> None:
        self._tokens = _split(text)
        self._tables = tables
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at][1]

    def _next(self) -> tuple[str, str]:
        kind, token, _ = self._tokens[self._at]
        self._at += 1
        return kind, token

    def _fail(self, what: str) -> PbtxtError:
        return PbtxtError(f"line {self._tokens[min(self._at, len(self._tokens) - 1)][2]}: {what}")

    def message(self, name: str, closing: str, depth: int) -> JsonObject:
        """Read fields up to the closing mark, which is taken."""
        if depth > _DEEPEST:
            raise self._fail(f"messages nest more than {_DEEPEST} deep; none has to be so deep")
        value: JsonObject = {}
        while self._peek() != closing:
            if not self._peek():
                raise self._fail(f'the text ends where "{closing}" is missing')
            self._field(value, name, depth)
            while self._peek() in {",", ";"}:
                self._next()
        self._next()
        return value

    def _field(self, value: JsonObject, message: str, depth: int) -> None:
        kind, name = self._tokens[self._at][:2]
        field = self._tables[message].get(name)
        if kind != "word" or field is None:
            near = suggest(name, list(self._tables[message]))
            mend = f'did you mean "{near}"?' if near else "remove it"
            raise self._fail(f'"{name}" is no field of {message}; {mend}')
        self._next()
        colon = self._peek() == ":"
        if colon:
            self._next()
        if not colon and self._peek() not in {"{", "<", "["}:
            raise self._fail(f'":" is missing after "{name}"')
        for item in self._items(field, depth):
            self._put(value, field, item)

    def _items(self, field: Field, depth: int) -> list[Any]:
        if self._peek() != "[":
            return [self._value(field, depth)]
        if not (field.repeated or field.mapped):
            raise self._fail(f'"{field.name}" is one value, not a list')
        self._next()
        items: list[Any] = []
        while self._peek() != "]":
            items.append(self._value(field, depth))
            if self._peek() == ",":
                self._next()
            elif self._peek() != "]":
                raise self._fail(f'"," or "]" is missing in "{field.name}", at "{self._peek()}"')
        self._next()
        return items

    def _put(self, value: JsonObject, field: Field, item: Any) -> None:
        if field.mapped:
            key, entry = item
            value.setdefault(field.name, {})[key] = entry
        elif field.repeated:
            value.setdefault(field.name, []).append(item)
        elif field.name in value:
            raise self._fail(f'"{field.name}" is given twice; leave one')
        else:
            value[field.name] = item

    def _value(self, field: Field, depth: int) -> Any:
        if field.mapped:
            return self._entry(field, depth)
        if field.kind in self._tables:
            closing = _CLOSING.get(self._next()[1])
            if closing is None:
                self._at -= 1
                raise self._fail(f'"{field.name}" is a message; write {field.name} {{ ... }}')
            return self.message(field.kind, closing, depth + 1)
        return self._scalar(field.kind, field.name)

    def _entry(self, field: Field, depth: int) -> tuple[str, Any]:
        """Read a map's entry: `{ key: "k" value: v }`."""
        closing = _CLOSING.get(self._next()[1])
        found: dict[str, Any] = {}
        while closing is not None and self._peek() not in {closing, ""}:
            name = self._next()[1]
            if self._peek() == ":":
                self._next()
            if name not in {"key", "value"}:
                raise self._fail(f'an entry of "{field.name}" has key and value, not "{name}"')
            of = Field(name, 0, "string" if name == "key" else field.kind, False, False)
            found[name] = self._value(of, depth + 1)
            if self._peek() in {",", ";"}:
                self._next()
        if closing is None or self._next()[1] != closing or "key" not in found:
            raise self._fail(f'an entry of "{field.name}" is {{ key: "..." value: ... }}')
        return found["key"], found.get("value", {} if field.kind in self._tables else "")

    def _scalar(self, kind: str, name: str) -> Any:
        what, token = self._next()
        if kind == "string":
            if what == "text":
                return self._text(token)
        elif kind == "bool":
            if token in {"true", "t", "True", "1", "false", "f", "False", "0"}:
                return token in {"true", "t", "True", "1"}
        elif kind in ENUMS:
            if token in ENUMS[kind]:
                return token
        elif what == "number":
            return self._number(kind, name, token)
        self._at -= 1
        wanted = f"one of {', '.join(ENUMS[kind])}" if kind in ENUMS else f"a {kind}"
        raise self._fail(f'"{name}" is {token or "nothing"}; give {wanted}')

    def _number(self, kind: str, name: str, token: str) -> int | float:
        plain = token.replace(" ", "")
        if kind not in WHOLE:
            return float(plain.rstrip("fF"))
        try:
            number = int(plain, 16 if "x" in plain.lower() else 10)
        except ValueError:
            raise self._fail(f'"{name}" is {token}; give a whole number') from None
        bits = int(kind.lstrip("uint"))
        least, most = (0, 2**bits) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        if not least <= number < most:
            raise self._fail(f'"{name}" is {token}; give a number from {least} to {most - 1}')
        return number

    def _text(self, token: str) -> str:
        """Return what quoted text says; adjacent pieces are one."""
        said = _unquote(token)
        while self._tokens[self._at][0] == "text":
            said += _unquote(self._next()[1])
        return said


def _unquote(token: str) -> str:
    plain = "".join(chr(b) if b < 128 else f"\\x{b:02x}" for b in token.encode())
    try:
        raw: bytes = ast.literal_eval("b" + plain)
        return raw.decode()
    except (SyntaxError, ValueError) as error:
        raise PbtxtError(f"{token} is no text ({error})") from None


def _split(text: str) -> list[tuple[str, str, int]]:
    """Return kind, text and line of each token, an empty one at the end."""
    tokens, at, line = [], 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise PbtxtError(f'line {line}: "{text[at]}" has no meaning in this format; remove it')
        if found.lastgroup != "blank":
            tokens.append((found.lastgroup or "", found[0], line))
        line += found[0].count("\n")
        at = found.end()
    return [*tokens, ("end", "", line)]
