"""What placeholders render to, and which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.plan.placeholders import (
    PlaceholderError,
    make_metadata_root,
    render_placeholders,
    render_text,
)

ROOT = make_metadata_root(
    {
        "name": "iris",
        "namespace": "ml",
        "uid": "u-1",
        "labels": {
            "modelClass": "mlserver_sklearn.SKLearnModel",
            "a.b/c": "dotted",
            "q": 'say "x"',
        },
        "annotations": {"modelFormat": "sklearn"},
    }
)

RENDERED = {
    "a text without placeholder": ("--http_port=8080", "--http_port=8080"),
    "the name": ("--model_name={{.Name}}", "--model_name=iris"),
    "the namespace": ("{{.Namespace}}", "ml"),
    "the uid": ("{{.UID}}", "u-1"),
    "spaces within the braces": ("{{ .Name }}", "iris"),
    "two in one text": ("{{.Namespace}}/{{.Name}}", "ml/iris"),
    "a label": ("{{.Labels.modelClass}}", "mlserver_sklearn.SKLearnModel"),
    "an annotation": ("--framework={{.Annotations.modelFormat}}", "--framework=sklearn"),
    "a missing label": ("x={{.Labels.absent}}", "x=<no value>"),
    "a missing annotation": ("{{.Annotations.absent}}", "<no value>"),
    "a label by a quoted key": ('{{index .Labels "a.b/c"}}', "dotted"),
    "a label by a key in back quotes": ("{{index .Labels `a.b/c`}}", "dotted"),
    "a missing label by key, which in Go is the empty text": ('{{index .Labels "no"}}', ""),
    "a quoted text": ('{{"{{"}}', "{{"),
    "a comment": ("a{{/* nothing */}}b", "ab"),
    "trimmed to the left": ("a  {{- .Name}}", "airis"),
    "trimmed to the right": ("{{.Name -}}  b", "irisb"),
    "single braces, which are JSON": ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
}


@pytest.mark.parametrize("case", RENDERED.values(), ids=RENDERED.keys())
def test_renders(case):
    text, expected = case
    assert render_placeholders(text, ROOT) == expected


REFUSED = {
    "a chat template": ("{{ messages }}", "messages"),
    "a field that metadata does not have": ("{{.Spec}}", ".Spec"),
    "a field in lower case": ("{{.name}}", ".name"),
    "a path below a text": ("{{.Name.x}}", ".Name.x"),
    "a map as a whole": ("{{.Labels}}", ".Labels"),
    "a pipeline": ("{{.Name | upper}}", ".Name | upper"),
    "a condition": ("{{if .Name}}x{{end}}", "if .Name"),
    "braces that are not closed": ("--name={{.Name", "--name={{.Name"),
    "nothing": ("{{}}", "{{}}"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(case):
    text, named = case
    with pytest.raises(PlaceholderError) as caught:
        render_text(text, ROOT)
    assert named in str(caught.value)
    assert not str(caught.value).endswith(".")


def test_the_refusal_lists_what_may_be_used():
    with pytest.raises(PlaceholderError, match=r"\{\{\.Name\}\}.*\{\{\.Labels\.x\}\}"):
        render_text("{{.Nmae}}", ROOT)


def test_renders_within_lists_and_objects_and_leaves_keys_and_numbers_alone():
    container = {
        "args": ["--model_name={{.Name}}"],
        "env": [{"name": "N", "value": "{{.Namespace}}"}],
        "ports": [{"containerPort": 8080}],
        "{{.Name}}": True,
    }
    assert render_placeholders(container, ROOT) == {
        "args": ["--model_name=iris"],
        "env": [{"name": "N", "value": "ml"}],
        "ports": [{"containerPort": 8080}],
        "{{.Name}}": True,
    }


def test_a_label_with_quotes_cannot_break_out_of_its_text():
    assert render_placeholders(["{{.Labels.q}}"], ROOT) == ['say "x"']


@given(st.text().filter(lambda t: "{{" not in t))
def test_a_text_without_opening_braces_is_left_as_it_is(text):
    assert render_placeholders(text, ROOT) == text


@given(st.text())
def test_any_text_is_rendered_or_refused_with_reason(text):
    try:
        rendered = render_text(text, ROOT)
    except PlaceholderError as refused:
        assert str(refused)  # noqa: PT017 # either outcome is right; each is checked
    else:
        assert "{{" not in rendered or '"' in text or "`" in text
