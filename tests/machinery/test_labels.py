"""Label and field selectors, as Kubernetes reads them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.errors import BadRequest
from sampan.machinery.labels import make_selector, parse_fields, parse_selector

LABELS = {"app": "iris", "tier": "gold", "size": "12", "kserve.io/kind": "x"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=iris", True),
        ("app==iris", True),
        ("app = iris , tier != silver", True),
        ("app=rose", False),
        ("absent!=anything", True),
        ("app in (rose, iris)", True),
        ("app in (rose)", False),
        ("absent in (a)", False),
        ("app notin (rose)", True),
        ("absent notin (a,b)", True),
        ("app", True),
        ("!app", False),
        ("!absent", True),
        ("size>11", True),
        ("size<12", False),
        ("app>1", False),
        ("kserve.io/kind=x", True),
        ("app=", False),
        ("absent in (,a)", False),
        ("in=x", False),
        ("app=iris,tier=gold,!absent", True),
    ],
)
def test_a_label_selector_matches(text: str, matches: bool) -> None:
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app=iris,", "''"),
        ("=iris", "'='"),
        ("app in iris", "'iris'"),
        ("app in (a", "''"),
        ("app!iris", "'!'"),
        ("app=a b", "'b'"),
        ("a/b/c=d", "'a/b/c'"),
        ("/name=x", "'/name'"),
        ("app>many", "'many'"),
        ("app=" + "x" * 64, "'xxx"),
        ("-app=x", "'-app'"),
    ],
)
def test_a_broken_label_selector_is_named_with_what_was_found(text: str, found: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_selector(text)
    assert f"found {found}" in str(caught.value)
    assert text in str(caught.value)


def test_the_object_form_means_the_same_as_the_string() -> None:
    selector = {
        "matchLabels": {"app": "iris"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["gold", "silver"]},
            {"key": "absent", "operator": "DoesNotExist"},
            {"key": "size", "operator": "Exists"},
            {"key": "absent", "operator": "NotIn", "values": ["x"]},
        ],
    }
    assert make_selector(selector).matches(LABELS)
    assert not make_selector(selector).matches({"app": "iris"})
    assert make_selector(None).matches(None)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"key": "a", "operator": "Near"}, '"Near" is not a valid label selector operator'),
        ({"key": "a", "operator": "In"}, "needs values"),
        ({"key": "a", "operator": "Exists", "values": ["x"]}, "takes no values"),
    ],
)
def test_a_broken_expression_is_refused(expression: dict[str, object], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        make_selector({"matchExpressions": [expression]})


POD = {
    "metadata": {"name": "a,b", "namespace": "n"},
    "status": {"phase": "Running"},
    "source": {"component": "me"},
}


@pytest.mark.parametrize(
    ("text", "resource", "matches"),
    [
        ("", "", True),
        (r"metadata.name=a\,b", "", True),
        ("metadata.namespace==n,metadata.name!=x", "", True),
        ("status.phase=Running", "pods", True),
        ("status.phase!=Running", "pods", False),
        ("spec.nodeName=", "pods", True),
        ("source=me", "events", True),
    ],
)
def test_a_field_selector_matches(text: str, resource: str, matches: bool) -> None:
    assert parse_fields(text, resource).matches(POD) is matches


@pytest.mark.parametrize("text", ["metadata.name", "status.phase=x", r"metadata.name=a\b"])
def test_a_broken_field_selector_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="field"):
        parse_fields(text, "configmaps")


words = st.from_regex(r"[a-z]([a-z0-9.-]{0,5}[a-z0-9])?", fullmatch=True)


@given(st.dictionaries(words, words, max_size=4), words, words)
def test_equal_and_unequal_are_opposites(labels: dict[str, str], key: str, value: str) -> None:
    equal = parse_selector(f"{key}={value}").matches(labels)
    assert parse_selector(f"{key}!={value}").matches(labels) is not equal
    assert parse_selector(f"{key} in ({value})").matches(labels) is equal
    assert parse_selector(f"{key} notin ({value})").matches(labels) is not equal


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_selector, parse_fields):
        # Anything but BadRequest fails the test.
        with contextlib.suppress(BadRequest):
            parse(text)
