"""Printer columns' paths: what each form finds, and that the real ones are all understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.jsonpath import compile_path, find

CRDS = Path(__file__).parents[3] / "shared" / "crds"
OBJ = {
    "spec": {"names": ["a", "b", "c"], "parts": [{"n": "x", "w": 5}, {"n": "y", "w": 9}, {"z": 1}]},
    "meta": {"example.com/a.b": "dotted", "on": True, "size": 3},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".meta.size", [3]),
        ("meta.size", [3]),
        (".spec.names[0]", ["a"]),
        (".spec.names[-1]", ["c"]),
        (".spec.names[7]", []),
        (".spec.names[*]", ["a", "b", "c"]),
        (".spec.parts[*].n", ["x", "y"]),
        (".spec.parts[?(@.n=='y')].w", [9]),
        ('.spec.parts[?(@.n=="y")].w', [9]),
        (".spec.parts[?(@.n!='y')].w", [5]),
        (".spec.parts[?(@.w>6)].n", ["y"]),
        (".spec.parts[?(@.w<=5)].n", ["x"]),
        (".spec.parts[?(@.z)]", [{"z": 1}]),
        (".spec.parts[?(@.n > 3)]", []),
        ("['meta']['example.com/a.b']", ["dotted"]),
        (r".meta.example\.com/a\.b", ["dotted"]),
        (".none.deeper[0]", []),
        (".meta.size.deeper", []),
        (".meta[0]", []),
    ],
)
def test_a_path_finds(path, found):
    assert find(path, OBJ) == found


def test_a_filter_compares_true_with_true():
    assert find(".l[?(@.on==true)].v", {"l": [{"on": True, "v": 1}, {"on": False, "v": 2}]}) == [1]


@pytest.mark.parametrize("path", [".a[", ".a[x]", ".a[?(b)]", ".a[?(@.b==c)]", ".a..b", ".", ".a]"])
def test_what_cannot_be_read_is_named(path):
    with pytest.raises(ValueError, match="JSONPath"):
        compile_path(path)


@pytest.mark.skipif(not CRDS.is_dir(), reason="the CRDs are not here")
def test_every_printer_column_of_the_real_crds_is_understood():
    texts = [file.read_text() for file in CRDS.rglob("*.yaml")]
    found = {line for text in texts for line in re.findall(r"(?m)jsonPath: (.+)$", text)}
    paths = {yaml.safe_load(scalar) for scalar in found}
    assert len(paths) > 10
    for path in paths:
        compile_path(path)


@given(st.text())
def test_any_text_is_read_or_refused_with_a_value_error(text):
    try:
        found = find(text, OBJ)
    except ValueError:
        return
    assert isinstance(found, list)
