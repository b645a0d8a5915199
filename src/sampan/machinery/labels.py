"""Label and field selectors, in the string forms of Kubernetes.

Label selectors: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, `a>1`, `a<1`,
joined by commas (Kubernetes, "Labels and Selectors"). Field selectors: `path=value` and
`path!=value` on the few fields that a resource is indexed by ("Field Selectors").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sampan.machinery.errors import BadRequest

_TOKEN = re.compile(r"\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SYMBOLS = frozenset({"=", "==", "!=", "!", "<", ">", "(", ")", ","})

FIELDS_EVERYWHERE = ("metadata.name", "metadata.namespace")

FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
}
"""Fields that may be selected by, per resource id, besides those of every resource."""


class Operator(StrEnum):
    """How a requirement compares, in the words of `matchExpressions`."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    ABSENT = "DoesNotExist"
    GREATER = "Gt"
    LESS = "Lt"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on the label `key`."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it. `!=` and `notin` are met by labels without the key."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.EXISTS:
                return value is not None
            case Operator.ABSENT:
                return value is None
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case _:
                return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        (bound,) = self.values
        try:
            number = int(value)
        except ValueError:
            return False
        return number > int(bound) if self.operator is Operator.GREATER else number < int(bound)


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all be met; none: everything matches."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether an object with these labels is selected."""
        return all(r.matches(labels or {}) for r in self.requirements)


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """`path=value`, or `path!=value` where `equal` is false."""

    path: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Terms that must all hold; none: everything matches. An absent field equals ""."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Whether the object is selected."""
        return all((field_value(obj, t.path) == t.value) is t.equal for t in self.terms)


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """Return the field as a selector sees it: its text, or "" when absent."""
    if path == "source":
        path = "source.component"
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def parse_fields(text: str, resource: str = "") -> FieldSelector:
    """Parse a field selector for a resource id; raise BadRequest naming the term."""
    terms = []
    for term in _split_terms(text):
        found = re.fullmatch(r"((?:\\.|[^=!\\])*?)(==|!=|=)(.*)", term, re.DOTALL)
        if not found:
            raise BadRequest(f'invalid field selector "{term}"; write "metadata.name=iris"')
        path, operator, value = found.groups()
        _check_field(path.strip(), resource)
        terms.append(FieldTerm(path.strip(), _unescaped(value, term), operator != "!="))
    return FieldSelector(tuple(terms))


def _split_terms(text: str) -> list[str]:
    terms = re.split(r"(?<!\\)((?:\\\\)*),", text)
    joined = [a + b for a, b in zip(terms[::2], [*terms[1::2], ""], strict=True)]
    return [term for term in joined if term.strip()]


def _unescaped(value: str, term: str) -> str:
    if re.search(r"(?<!\\)(?:\\\\)*\\(?![\\,=])", value):
        raise BadRequest(
            f'invalid field selector "{term}": a backslash escapes only ",", "=" and itself'
        )
    return re.sub(r"\\([\\,=])", r"\1", value)


def _check_field(path: str, resource: str) -> None:
    known = (*FIELDS_EVERYWHERE, *FIELDS_OF.get(resource, ()))
    if path not in known:
        listed = ", ".join(f'"{name}"' for name in known)
        raise BadRequest(f'field label not supported: "{path}"; those of {resource}: {listed}')


def parse_selector(text: str) -> Selector:
    """Parse a label selector; raise BadRequest naming what was found instead."""
    return Selector(tuple(_Parser(text).requirements()))


def make_selector(selector: Mapping[str, Any] | None) -> Selector:
    """Return the Selector of a `LabelSelector` object (matchLabels, matchExpressions)."""
    selector = selector or {}
    terms = [_equals(k, v) for k, v in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        word, key = expression.get("operator"), expression.get("key", "")
        if word not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise BadRequest(
                f'"{word}" is not a valid label selector operator; '
                "use In, NotIn, Exists or DoesNotExist"
            )
        values = frozenset(expression.get("values") or ())
        if bool(values) is not (word in ("In", "NotIn")):
            need = "needs values" if word in ("In", "NotIn") else "takes no values"
            raise BadRequest(f'operator "{word}" of label selector key "{key}" {need}')
        terms.append(Requirement(key, Operator(word), values))
    return Selector(tuple(terms))


def _equals(key: str, value: str) -> Requirement:
    return Requirement(key, Operator.IN, frozenset({value}))


class _Parser:
    """Recursive descent over the tokens of one selector."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self._peek():
            found.append(self._requirement())
            if self._peek() and self._take() != ",":
                raise self._error(self._tokens[self._at - 1], '","')
            if self._tokens[self._at - 1] == "," and not self._peek():
                raise self._error("", "a label key after the comma")
        return found

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._take()
            return Requirement(self._key(), Operator.ABSENT)
        key = self._key()
        word = self._peek()
        if word in ("", ","):
            return Requirement(key, Operator.EXISTS)
        self._take()
        match word:
            case "=" | "==":
                return Requirement(key, Operator.IN, frozenset({self._value()}))
            case "!=":
                return Requirement(key, Operator.NOT_IN, frozenset({self._value()}))
            case "in" | "notin":
                operator = Operator.IN if word == "in" else Operator.NOT_IN
                return Requirement(key, operator, self._values())
            case "<" | ">":
                operator = Operator.GREATER if word == ">" else Operator.LESS
                return Requirement(key, operator, frozenset({self._number()}))
        raise self._error(word, "in, notin, =, ==, !=, > or <")

    def _key(self) -> str:
        key = self._take()
        prefix, _, name = key.rpartition("/")
        right = len(name) <= 63 and _NAME.fullmatch(name) and len(prefix) <= 253
        if key in _SYMBOLS or not right or ("/" in key and not _PREFIX.fullmatch(prefix)):
            raise self._error(key, "a label key (letters, digits, '-', '_', '.', at most 63)")
        return key

    def _value(self) -> str:
        if self._peek() in ("", ",", ")"):
            return ""
        value = self._take()
        if len(value) > 63 or not _NAME.fullmatch(value):
            raise self._error(value, "a label value (letters, digits, '-', '_', '.', at most 63)")
        return value

    def _values(self) -> frozenset[str]:
        if (mark := self._take()) != "(":
            raise self._error(mark, '"("')
        values = {self._value()}
        while (mark := self._take()) == ",":
            values.add(self._value())
        if mark != ")":
            raise self._error(mark, '"," or ")"')
        return frozenset(values)

    def _number(self) -> str:
        value = self._take()
        if not re.fullmatch(r"-?\d{1,19}", value):
            raise self._error(value, "an integer")
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _error(self, found: str, expected: str) -> BadRequest:
        return BadRequest(
            f"unable to parse requirement: found '{found}', expected: {expected}; "
            f'the selector is "{self._text}"'
        )
