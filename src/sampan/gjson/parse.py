"""A gjson path from its text; what cannot be meant is refused with its position.

gjson itself reads on after a mistake and finds nothing; a condition that never holds is what a
graph's author least wants.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sampan.gjson.glob import make_pattern
from sampan.gjson.path import (
    Clause,
    Constant,
    Each,
    Key,
    Modifier,
    Path,
    Query,
    Several,
    Step,
)

OPENING = {"(": ")", "[": "]", "{": "}"}
OPERATORS = ("!=", "!%", "<=", ">=", "==", "<", ">", "=", "%")
DEEPEST = 32
"""Levels of brackets; a condition with more is a mistake or an attack."""


class PathError(ValueError):
    """A path that cannot be read; `position` counts characters from 0."""

    def __init__(self, text: str, position: int, what: str) -> None:
        super().__init__(f'"{text}": {what} at position {position}')
        self.position = position


@lru_cache(maxsize=1024)
def parse_path(text: str) -> Path:
    """Return the path of a text; raises PathError. The empty text finds nothing."""
    return _Parser(text).path()


class _Parser:
    """Reads one text from left to right; `at` is the position in the whole condition."""

    def __init__(self, text: str, whole: str | None = None, at: int = 0, depth: int = 0) -> None:
        self.text, self.whole, self.start, self.depth = text, whole or text, at, depth
        self.at = 0
        if depth > DEEPEST:
            raise self.error(f"more than {DEEPEST} levels of brackets")

    def error(self, what: str, at: int | None = None) -> PathError:
        return PathError(self.whole, self.start + (self.at if at is None else at), what)

    def inner(self, text: str, at: int) -> _Parser:
        return _Parser(text, self.whole, self.start + at, self.depth + 1)

    def path(self) -> Path:
        """Read all that is left."""
        steps: list[Step] = []
        while self.at < len(self.text):
            steps.append(self.step())
            if self.at == len(self.text):
                break
            if self.text[self.at] not in ".|":
                raise self.error(f'"{self.text[self.at]}" where "." or "|" goes')
            self.at += 1
            if self.at == len(self.text):
                raise self.error("a name is missing")
        return Path(tuple(steps))

    def step(self) -> Step:
        first = self.text[self.at]
        if first == "@":
            return self.modifier()
        if first == "!":
            return self.literal()
        if first in "[{":
            return self.several()
        if first == "#" and self.text[self.at + 1 : self.at + 2] in {"", ".", "|"}:
            self.at += 1
            return Each(self.rest())
        if self.text.startswith(("#(", "#["), self.at):
            return self.query()
        return self.key()

    def rest(self) -> Path | None:
        """Read what is followed in each element: all that comes after a dot, up to a pipe."""
        if not self.text.startswith(".", self.at):
            return None
        end = next(self.split(self.text[self.at :], "|"))[1] + self.at
        inner = self.inner(self.text[self.at + 1 : end], self.at + 1).path()
        self.at = end
        if not inner.steps:
            raise self.error("a name is missing")
        return inner

    def key(self) -> Key:
        name: list[str] = []
        wild, raw_start = False, self.at
        while self.at < len(self.text) and self.text[self.at] not in ".|":
            character = self.text[self.at]
            if character == "\\":
                self.at += 1
                character = self.text[self.at : self.at + 1] or "\\"
            else:
                wild = wild or character in "*?"
            name.append(character)
            self.at += 1
        self.at = min(self.at, len(self.text))  # a last backslash stands for itself
        if raw_start == self.at:
            raise self.error("a name is missing")
        return Key("".join(name), make_pattern(self.text[raw_start : self.at]) if wild else None)

    def modifier(self) -> Modifier:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ".|:":
            self.at += 1
        name, argument = self.text[start + 1 : self.at], ""
        if self.text.startswith(":", self.at):
            begin = self.at + 1
            if self.text[begin : begin + 1] in {"{", "[", "("}:
                self.at = self.close(begin) + 1
            else:
                self.at = next(self.split(self.text[begin:], "|."))[1] + begin
            argument = self.text[begin : self.at]
        return Modifier(name, argument)

    def literal(self) -> Constant:
        start = self.at + 1
        if self.text[start : start + 1] in {"{", "["}:
            end = self.close(start) + 1
        elif self.text.startswith('"', start):
            end = self.quote(start) + 1
        else:
            end = next(self.split(self.text[start:], "|"))[1] + start
        try:
            value: Any = json.loads(self.text[start:end])
        except ValueError:
            raise self.error("what follows ! is no JSON value", start) from None
        self.at = end
        return Constant(value)

    def several(self) -> Several:
        start, end = self.at, self.close(self.at)
        kind = "array" if self.text[start] == "[" else "object"
        body = self.text[start + 1 : end]
        members = []
        for begin, stop in self.split(body, ","):
            if body[begin:stop].strip():
                members.append(self.member(body[begin:stop], start + 1 + begin))
        self.at = end + 1
        return Several("array" if kind == "array" else "object", tuple(members))

    def member(self, text: str, at: int) -> tuple[str, Path]:
        """Read `path` or `"name":path`; without a name the last key of the path names it."""
        if text.startswith('"'):
            end = self.inner(text, at).quote(0)
            if text[end + 1 : end + 2] == ":":
                name = json.loads(text[: end + 1])
                return name, self.inner(text[end + 2 :], at + end + 2).path()
        path = self.inner(text, at).path()
        last = path.steps[-1] if path.steps else None
        return (last.name if isinstance(last, Key) else "_"), path

    def query(self) -> Query:
        start, end = self.at, self.close(self.at + 1)
        body = self.text[start + 2 : end]
        either = tuple(
            tuple(
                self.clause(body[b:e], start + 2 + b)
                for b, e in self.split_words(body, begin, stop, "&&")
            )
            for begin, stop in self.split_words(body, 0, len(body), "||")
        )
        self.at = end + 1
        every = self.text.startswith("#", self.at)
        self.at += every
        return Query(either, every, self.rest() if every else None)

    def clause(self, text: str, at: int) -> Clause:
        """Read `path operator value`."""
        position = next(self.find_operator(text), None)
        if position is None:
            if not text.strip():
                raise self.error("a comparison is missing", at - self.start)
            return Clause(self.inner(text.strip(), at).path(), "", "")
        operator = next(o for o in OPERATORS if text.startswith(o, position))
        path, operand = text[:position].strip(), text[position + len(operator) :].strip()
        made = self.inner(path, at).path() if path else None
        return Clause(made, "=" if operator == "==" else operator, _unquoted(operand))

    def find_operator(self, text: str) -> Iterator[int]:
        """Yield where an operator begins, outside of brackets and quotes."""
        for index, character in self.outside(text):
            if character in "!=<>%" and any(text.startswith(o, index) for o in OPERATORS):
                yield index

    def split(self, text: str, separators: str) -> Iterator[tuple[int, int]]:
        """Yield the parts between separators that stand outside of brackets and quotes."""
        begin = 0
        for index, character in self.outside(text):
            if character in separators:
                yield begin, index
                begin = index + 1
        yield begin, len(text)

    def split_words(self, text: str, begin: int, end: int, word: str) -> Iterator[tuple[int, int]]:
        """Yield the parts of text[begin:end] between words outside of brackets and quotes."""
        start = begin
        for index, _ in self.outside(text[:end], begin):
            if index >= start and text.startswith(word, index, end):
                yield start, index
                start = index + len(word)
        yield start, end

    def outside(self, text: str, begin: int = 0) -> Iterator[tuple[int, str]]:
        """Yield the characters that stand outside of brackets, quotes and escapes."""
        inner = _Parser(text, self.whole, self.start + self.at, 0)
        index = begin
        while index < len(text):
            character = text[index]
            if character == "\\":
                index += 2
            elif character == '"':
                index = inner.quote(index) + 1
            elif character in OPENING:
                index = inner.close(index) + 1
            else:
                yield index, character
                index += 1

    def quote(self, start: int) -> int:
        """Return where the quote that opens at `start` closes."""
        index = start + 1
        while index < len(self.text) and self.text[index] != '"':
            index += 2 if self.text[index] == "\\" else 1
        if index >= len(self.text):
            raise self.error("a quote is not closed", start)
        return index

    def close(self, start: int) -> int:
        """Return where the bracket that opens at `start` closes."""
        closing: list[str] = []
        index = start
        while index < len(self.text):
            character = self.text[index]
            if character == '"':
                index = self.quote(index)
            elif character == "\\":
                index += 1
            elif character in OPENING:
                closing.append(OPENING[character])
            elif character in ")]}":
                if character != closing.pop():
                    raise self.error(f'"{character}" closes nothing', index)
                if not closing:
                    return index
            index += 1
        raise self.error(f'"{self.text[start]}" is not closed', start)


def _unquoted(operand: str) -> str:
    if len(operand) < 2 or not operand.startswith('"') or not operand.endswith('"'):
        return operand
    try:
        return str(json.loads(operand))
    except ValueError:
        return operand[1:-1]
