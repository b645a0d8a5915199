"""YAML and JSON texts as Kubernetes objects, each with the line of every field. Pure.

Scalars mean what kubectl takes them for (go-yaml v2, then JSON): `yes` and `on` are true, `0o17`
and `017` are octal, `1e3` is a number, while a date stays text and `8080:80` does too. Keys are
always strings. A key that is written twice is an error, for one of the two would be lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sampan.api.yaml_scalars import scalar
from sampan.machinery.registry import JsonObject

MAX_NODES = 100_000
"""Most values in a document, anchors expanded: a few lines of anchors can stand for billions."""

MAX_DEPTH = 100
"""Deepest nesting; the deepest field of a pod lies at about 20."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels; an anchor may contain itself"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place of a file. Lines and columns count from 1."""

    source: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}: {self.message}"


class YamlError(ValueError):
    """A text that cannot be read, with every problem found in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file. `line` is where it starts; `places` maps paths to line and column."""

    obj: JsonObject
    source: str
    line: int
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    root: str = ""

    def line_of(self, path: str) -> int:
        """Return the line of a field (`spec.predictor.model`), or of the nearest one above it."""
        return self.place_of(path)[0]

    def place_of(self, path: str) -> tuple[int, int]:
        """Return line and column of a field, or of the nearest one above it."""
        sought = f"{self.root}.{path}" if self.root and path else self.root or path
        while sought:
            if sought in self.places:
                return self.places[sought]
            sought = sought[: max(sought.rfind("."), sought.rfind("["), 0)]
        return self.line, 1


def parse_documents(text: str, source: str = "") -> list[Document]:
    """Return every object of a text; a `List` counts as its items. Raise YamlError.

    `source` names the text in messages. Empty documents are passed over.
    """
    documents, problems = read_documents(text, source)
    if problems:
        raise YamlError(problems)
    return documents


def read_documents(text: str, source: str = "") -> tuple[list[Document], list[Problem]]:
    """Return every object of a text that can be read, and every problem found in it."""
    documents: list[Document] = []
    problems: list[Problem] = []
    bottomless = _find_bottomless(text, source)
    if bottomless is not None:
        return documents, [bottomless]
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            documents += _document(node, source, problems)
    except yaml.YAMLError as broken:
        documents = _as_json(text, source, problems)
        if not (documents or problems):
            problems.append(_syntax_problem(broken, text, source))
    return documents, problems


def _find_bottomless(text: str, source: str) -> Problem | None:
    """Return where a text nests deeper than any object does, None where it does not.

    Looked for before nodes are made of it: libyaml makes them by recursion, so that forty thousand
    brackets would end the process, and takes ever longer for each.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            mark = event.start_mark
            if depth > MAX_DEPTH + 1 and mark is not None:
                return Problem(source, mark.line + 1, mark.column + 1, _TOO_DEEP)
    except yaml.YAMLError:
        return None  # told by who reads it
    return None


def _document(node: yaml.Node | None, source: str, problems: list[Problem]) -> Iterator[Document]:
    reading = _Reading(source, problems)
    if node is None:
        return
    obj = reading.value(node, "", 0)
    line, column = _start(node)
    if obj is None or reading.stopped:
        return
    if isinstance(obj, dict):
        yield from _objects(Document(obj, source, line, reading.places), problems)
        return
    kind = "list" if isinstance(obj, list) else "scalar"
    text = f'the document is a {kind}; write an object with "apiVersion" and "kind"'
    problems.append(Problem(source, line, column, text))


def _objects(document: Document, problems: list[Problem]) -> Iterator[Document]:
    items = document.obj.get("items")
    if document.obj.get("kind") != "List" or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        root = f"items[{index}]"
        line, column = document.place_of(root)
        if isinstance(item, dict):
            yield Document(item, document.source, line, document.places, root)
        else:
            text = f"item {index} of the list is no object; write apiVersion and kind"
            problems.append(Problem(document.source, line, column, text))


def _as_json(text: str, source: str, problems: list[Problem]) -> list[Document]:
    """Read JSON that YAML cannot (tabs, surrogate pairs), without the lines of its fields."""
    if not text.lstrip().startswith("{"):
        return []
    try:
        obj = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return []
    return list(_objects(Document(obj, source, 1), problems))


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    obj = dict(pairs)
    if len(obj) < len(pairs):
        raise ValueError("a key is written twice")
    return obj


@dataclass(slots=True)
class _Reading:
    """A document while its nodes become values."""

    source: str
    problems: list[Problem]
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    nodes: int = 0
    stopped: bool = False

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        """Return what a node stands for; problems are gathered on the way."""
        self.nodes += 1
        if self.stopped or self._too_large(node, depth):
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self._item(item, f"{path}[{index}]", depth) for index, item in enumerate(node.value)
            ]
        try:
            return scalar(node.tag, node.value, plain=_is_plain(node))
        except ValueError as wrong:
            return self._problem(node, str(wrong))

    def _too_large(self, node: yaml.Node, depth: int) -> bool:
        if self.nodes > MAX_NODES:
            text = f"more than {MAX_NODES} values, anchors expanded; split the document"
        elif depth > MAX_DEPTH:
            text = _TOO_DEEP
        else:
            return False
        self._problem(node, text)
        self.stopped = True
        return True

    def _item(self, node: yaml.Node, path: str, depth: int) -> Any:
        self.places[path] = _start(node)
        return self.value(node, path, depth + 1)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> JsonObject:
        obj: JsonObject = {}
        merged: JsonObject = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self._merged(value_node, path, depth)
                continue
            key = self._key(key_node)
            where = f"{path}.{key}" if path else key
            if key in obj:
                self._problem(key_node, f'key "{key}" is written twice; remove one of them')
            self.places[where] = _start(key_node)
            obj[key] = self.value(value_node, where, depth + 1)
        return {**merged, **obj}

    def _merged(self, node: yaml.Node, path: str, depth: int) -> JsonObject:
        """Return what `<<` brings in: one mapping, or several of which the first wins."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: JsonObject = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self._problem(part, 'only mappings can be merged with "<<"')
                continue
            merged = {**self.value(part, path, depth + 1), **merged} if not self.stopped else merged
        return merged

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, "a key must be a string; put it in quotes")
            return ""
        try:
            value = scalar(node.tag, node.value, plain=_is_plain(node))
        except ValueError as wrong:
            self._problem(node, str(wrong))
            return str(node.value)
        return value if isinstance(value, str) else json.dumps(value)

    def _problem(self, node: yaml.Node, message: str) -> None:
        line, column = _start(node)
        self.problems.append(Problem(self.source, line, column, message))


def _is_plain(node: yaml.Node) -> bool:
    # libyaml says "" for a scalar without quotes, the loader in Python says None
    return isinstance(node, yaml.ScalarNode) and not node.style


def _start(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _syntax_problem(broken: yaml.YAMLError, text: str, source: str) -> Problem:
    mark = getattr(broken, "problem_mark", None) or getattr(broken, "context_mark", None)
    if mark is None:
        return _character_problem(broken, text, source)
    parts = (getattr(broken, "problem", None), getattr(broken, "context", None))
    message = " ".join(part for part in parts if part)
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][mark.column :].startswith("\t"):
        message += "; indent with spaces, not with tabs"
    return Problem(source, mark.line + 1, mark.column + 1, f"not YAML: {message}")


def _character_problem(broken: yaml.YAMLError, text: str, source: str) -> Problem:
    position = getattr(broken, "position", None) or 0
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    reason = getattr(broken, "reason", "it cannot be read")
    return Problem(source, line, column, f"not YAML: {reason}; remove the character")
