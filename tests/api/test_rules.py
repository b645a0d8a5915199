"""Every rule in one place: `rules/` has a row for each, and each row is answered in its words.

The last tests hold the tables to the code: a sentence that a rule can say stands in some row.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.rule_tables import Row, read_rows

import sampan.api

ROWS = read_rows()
REFUSED = [row for row in ROWS if not row.warns]
WARNED = [row for row in ROWS if row.warns]
API = Path(sampan.api.__file__).parent
SENTENCES = ("*/rules*.py", "*/validation.py", "*/silences.py", "data_keys.py", "gpu.py")

SAID_BY_THE_SCHEMA = {
    # Upstream's webhook says these too. The schema of the kind refuses the same objects before it.
    "storage URI cannot be empty",
    "storage path must be absolute: ",
    "unknown KEDA metric type with value [",
    "].Valid types are Resource,External,PodMetric",
    "wva and keda are mutually exclusive; choose one scaling mechanism",
    (
        "scaling and replicas are mutually exclusive; use scaling for autoscaled deployments or "
        "replicas for static deployments"
    ),
    "minReplicas is required when idleReplicaCount is set; idleReplicaCount (",
    ") must be less than minReplicas",
    ") cannot exceed maxReplicas (",
    "at least one trigger is required when using direct KEDA scaling",
    "idleReplicaCount (",
    ") must be less than minReplicas (",
    "); idleReplicaCount defines the replica floor when no triggers are active",
}
NO_ANSWERS = {
    "self == oldSelf",  # a rule as a cluster reads it
    "Too long: may not be more than ",  # `test_core_kinds` has an object of a megabyte
}


def ids(rows: list[Row]) -> list[str]:
    return [f"{row.obj['kind']}: {row.rule}" for row in rows]


@pytest.mark.parametrize("row", REFUSED, ids=ids(REFUSED))
def test_an_object_is_refused_in_these_words_about_this_field(row: Row) -> None:
    admitted = row.admitted()
    found = [(error.path, error.message) for error in admitted.errors or admitted.causes]
    assert (row.at, row.says) in found
    if not admitted.errors:
        assert admitted.denied.splitlines()[0] == row.says


@pytest.mark.parametrize("row", WARNED, ids=ids(WARNED))
def test_an_object_is_allowed_with_this_warning(row: Row) -> None:
    admitted = row.admitted()
    assert (admitted.errors, admitted.denied) == ((), "")
    assert row.says in admitted.warnings


def test_no_rule_is_there_twice() -> None:
    assert len(set(ids(ROWS))) == len(ROWS)


def test_what_a_rule_can_say_is_said_to_some_row() -> None:
    said = "\n".join(row.says for row in ROWS)
    files = sorted(path for pattern in SENTENCES for path in API.glob(pattern))
    silent = {
        f"{path.relative_to(API)}:{line}: {text}"
        for path in files
        for line, text in sentences(ast.parse(path.read_text()))
        if text.strip() not in said and text not in SAID_BY_THE_SCHEMA | NO_ANSWERS
    }
    assert silent == set()


def test_what_the_schema_says_first_is_said_to_no_row() -> None:
    said = "\n".join(row.says for row in ROWS)
    assert [text for text in SAID_BY_THE_SCHEMA if text in said] == []


def sentences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are more than a word, but for its docstrings."""
    prose = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(body := getattr(node, "body", None), list)
        for statement in body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            text = node.value.strip()
            if " " in text and len(text) >= 10:
                yield node.lineno, node.value
