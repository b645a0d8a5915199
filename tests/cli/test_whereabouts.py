"""What is not found is named with where it may be: a near name, or another namespace."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.cli.whereabouts import make_whereabouts

KNOWN = [("default", "sklearn-iris"), ("default", "titanic"), ("team-a", "flowers")]

ROWS = [
    ("a misspelt name", ("default", "sklearn-irs"), '; did you mean "sklearn-iris"'),
    ("the same name elsewhere", ("default", "flowers"), "; there is one in the namespace"),
    ("a near name elsewhere helps nobody here", ("default", "flower"), ""),
    ("a near name, of another namespace than asked", ("team-a", "titanik"), ""),
    ("nothing near", ("default", "zzz"), ""),
]


@pytest.mark.parametrize(("asked", "told"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_where_it_may_be(asked: tuple[str, str], told: str) -> None:
    said = make_whereabouts(asked, KNOWN)
    assert said.startswith(told)
    assert bool(said) == bool(told)


@pytest.mark.parametrize("verb", ["get configmap", "describe configmap", "delete configmap"])
def test_a_misspelt_object_is_answered_with_the_nearest(
    here: Path, cli: Callable[..., Any], verb: str
) -> None:
    (here / "near.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: whereabouts-near}, data: {a: b}}"
    )
    assert cli("apply", "-f", "near.yaml").code == 0
    done = cli(*verb.split(), "whereabouts-naer")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        'error: configmaps "whereabouts-naer" not found; did you mean "whereabouts-near"\n'
    )
    there = cli(*verb.split(), "whereabouts-near", "-n", "elsewhere")
    assert 'there is one in the namespace "default": -n default' in there.err
