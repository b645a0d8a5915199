"""The language that rules of schemas are written in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sampan.api.schema.cel import Unanswered, compiled
from sampan.api.schema.definitions import definitions
from sampan.api.schema.rules import RULES, broken


@pytest.mark.parametrize(
    ("expression", "value", "answer"),
    [
        pytest.param("has(self.a)", {"a": 0}, True, id="a field that is there"),
        pytest.param("has(self.a)", {}, False, id="a field that is not"),
        pytest.param("self.a == 1 ? self.b : 'no'", {"a": 2}, "no", id="one branch is asked"),
        pytest.param("self.a == 1 || self.b", {"a": 1}, True, id="an error that does not count"),
        pytest.param("!(self in ['x', \"y\"])", "z", True, id="in a list"),
        pytest.param("size(self) > 1 && self.size() < 3", [1, 2], True, id="sizes"),
        pytest.param("self.filter(x, x > 1)", [1, 2, 3], [2, 3], id="filter"),
        pytest.param("self.exists_one(x, x == 1)", [1, 1], False, id="exactly one"),
        pytest.param("self[1].a + 1", [0, {"a": 2}], 3, id="index and sum"),
        pytest.param('self.matches(r"""^a.$""")', "ab\n", False, id="the end is the end"),
        pytest.param("duration(self) <= duration('1m30s')", "90s", True, id="durations"),
        pytest.param("self.startsWith('/') && !self.endsWith('/')", "/a", True, id="texts"),
        pytest.param("true && null == self", None, True, id="literals"),
    ],
)
def test_an_expression(expression: str, value: Any, answer: Any) -> None:
    assert compiled(expression)({"self": value}) == answer


@pytest.mark.parametrize(
    "expression", ["self.a", "self.a == 1 && true", "size(self.a)", "self[0]", "duration(self)"]
)
def test_a_question_about_what_is_not_there_has_no_answer(expression: str) -> None:
    with pytest.raises(Unanswered):
        compiled(expression)({"self": {}})


@pytest.mark.parametrize("expression", ["self.", "f(self)", "self.g()", "a b", "(a", "a ? b", "#"])
def test_what_cannot_be_read_is_named(expression: str) -> None:
    with pytest.raises(SyntaxError, match="in the rule"):
        compiled(expression)


def rules_in(schema: Any) -> Iterator[dict[str, str]]:
    if isinstance(schema, dict):
        yield from schema.get(RULES, ())
        schema = [*schema.values()]
    if isinstance(schema, list):
        for part in schema:
            yield from rules_in(part)


def test_every_rule_of_our_schemas_can_be_read() -> None:
    found = [rule["rule"] for rule in rules_in(definitions())]
    assert len(found) > 80
    for rule in found:
        assert callable(compiled(rule))


def test_rules_are_asked_only_of_what_is_sound_and_changes_only_of_changes() -> None:
    same = {"type": "string", RULES: [{"rule": "self == oldSelf", "message": "stays"}]}
    schema = {"type": "object", "properties": {"a": same}, "required": ["a"]}
    assert [e.path for e in broken(schema, {}, None)] == ["a", "<nil>"]
    assert broken(schema, {"a": "x"}, None) == []
    assert broken(schema, {"a": "x"}, {}) == []
    (error,) = broken(schema, {"a": "x"}, {"a": "y"})
    assert str(error) == 'a: Invalid value: "x": stays'
