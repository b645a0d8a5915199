"""YAML and JSON texts as objects with lines."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.yamlfile import YamlError, parse_documents

TEXT = """\
# two objects
apiVersion: v1
kind: ConfigMap
metadata:
  name: one
  annotations: {serving.kserve.io/stop: "true"}
data:
  a: x
---
---
apiVersion: v1
kind: List
items:
- kind: Secret
  metadata:
    name: two
"""


def problem(text: str) -> str:
    with pytest.raises(YamlError) as caught:
        parse_documents(text, "f.yaml")
    return str(caught.value)


def test_every_object_of_a_text_is_found_with_its_line() -> None:
    one, two = parse_documents(TEXT, "f.yaml")
    assert (one.obj["kind"], one.line, one.source) == ("ConfigMap", 2, "f.yaml")
    assert (two.obj, two.line) == ({"kind": "Secret", "metadata": {"name": "two"}}, 14)


def test_a_field_knows_its_line_and_column() -> None:
    one, two = parse_documents(TEXT)
    assert one.place_of("data.a") == (8, 3)
    assert one.place_of("metadata.annotations.serving.kserve.io/stop") == (6, 17)
    assert two.line_of("metadata.name") == 16


def test_a_field_that_is_missing_has_the_line_of_the_nearest_above() -> None:
    one, _ = parse_documents(TEXT)
    assert one.line_of("metadata.labels.app[3].x") == 4
    assert one.line_of("spec") == 2
    assert one.line_of("") == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ('"yes"', "yes"),
        ("2026-01-31", "2026-01-31"),
        ("8080:80", "8080:80"),
        ("017", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1.0", 1),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("!!str 1", "1"),
        ("'1'", "1"),
        ("=", "="),
        ("y", True),
        ("089", 89),
        ("1e999", "1e999"),
        ("!!binary c2FtcGFu", "sampan"),
    ],
)
def test_a_scalar_means_what_kubectl_takes_it_for(text: str, value: object) -> None:
    (document,) = parse_documents(f"a: {text}")
    assert document.obj == {"a": value}
    assert type(document.obj["a"]) is type(value)


def test_keys_are_always_strings() -> None:
    (document,) = parse_documents("1: a\ntrue: b\n")
    assert document.obj == {"1": "a", "true": "b"}


def test_merge_keys_fill_what_is_not_given() -> None:
    (document,) = parse_documents("base: &b {x: 1, z: 2}\nmine: {<<: *b, z: 3}\n")
    assert document.obj["mine"] == {"x": 1, "z": 3}


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1", 'key "a" is written twice'),
        ("a: [1\n", "f.yaml:2:1", "not YAML: did not find expected"),
        ("a:\n\t- 1\n", "f.yaml:2:1", "indent with spaces, not with tabs"),
        ("a: b: c\n", "f.yaml:1:5", "mapping values are not allowed"),
        ("a: .nan\n", "f.yaml:1:4", '".nan" is no number in JSON'),
        ("a: !vault x\n", "f.yaml:1:4", 'unknown tag "!vault"'),
        ("a: !!binary '*'\n", "f.yaml:1:4", "not base64"),
        ("? [1]\n: 2\n", "f.yaml:1:3", "a key must be a string"),
        ("- 1\n", "f.yaml:1:1", "the document is a list"),
        ("hello\n", "f.yaml:1:1", "the document is a scalar"),
        ("a: *b\n", "f.yaml:1:4", "undefined alias"),
        ("a: \x01\n", "f.yaml:1:4", "control characters"),
        ("a: &x [*x]\n", "f.yaml:1:4", "an anchor may contain itself"),
        ('{"a": 1, "a": 2}', "f.yaml:1:10", 'key "a" is written twice'),
        ("kind: List\nitems: [1]\n", "f.yaml:2:9", "item 0 of the list is no object"),
    ],
)
def test_a_text_that_cannot_be_read_is_pointed_at(text: str, where: str, said: str) -> None:
    found = problem(text)
    assert found.startswith(f"{where}: ")
    assert said in found


def test_all_problems_of_a_text_are_reported() -> None:
    assert len(problem("a: 1\na: 2\n---\nb: .inf\nb: 1\n").splitlines()) == 3


def test_a_few_lines_that_stand_for_billions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more than 100000 values, anchors expanded" in problem("\n".join(lines))


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{b: " * 5000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert problem(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_without_end_is_refused_before_it_ends_the_process(opening: str) -> None:
    with pytest.raises(YamlError, match="nested deeper than 100 levels"):
        parse_documents(opening * 200_000)


def test_json_that_yaml_cannot_read_is_read() -> None:
    (document,) = parse_documents('{\n\t"a": "\\ud83d\\ude00"}')
    assert document.obj == {"a": "\N{GRINNING FACE}"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1))
def test_json_reads_as_itself(obj: dict[str, object]) -> None:
    (document,) = parse_documents(json.dumps(obj))
    assert document.obj == obj


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    problems = []
    try:
        parse_documents(text, "f")
    except YamlError as error:
        problems = error.problems
    assert all(p.line > 0 and p.column > 0 for p in problems)


@given(st.dictionaries(st.text("ab", min_size=1), st.text("yn.0e1:-~x", max_size=6), min_size=1))
def test_texts_that_were_written_as_yaml_stay_texts(obj: dict[str, str]) -> None:
    (document,) = parse_documents(yaml.safe_dump(obj, default_style="'"))
    assert document.obj == obj
