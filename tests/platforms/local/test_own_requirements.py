"""Packages of a service's own: plain requirements, one a line, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.platforms.local.own_requirements import (
    ANNOTATION,
    make_own_requirements,
    validate_requirement,
)


def asked(text: str) -> tuple[tuple[str, ...], str]:
    return make_own_requirements({"metadata": {"annotations": {ANNOTATION: text}}})


@pytest.mark.parametrize(
    "line",
    [
        "pandas",
        "pandas>=2,<3",
        "pandas >= 2.0, < 3",
        "scikit-learn==1.9.1",
        "torch==2.13.0+cpu",
        "numpy==2.*",
        "uvicorn[standard, extra]~=0.30",
        'tomli>=2; python_version < "3.11"',
        "a===1.0.post1",
        "x!=1!2.0rc1",
    ],
)
def test_a_plain_requirement_is_taken(line: str):
    assert asked(line) == ((line,), "")


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "--index-url https://example.com",
        "-e .",
        "pandas @ https://example.com/pandas.whl",
        "git+https://example.com/x.git",
        "./wheels/x.whl",
        "/etc/passwd",
        "pandas>=",
        "pandas,numpy",
        "pandas numpy",
    ],
)
def test_anything_else_is_refused_by_name(line: str):
    lines, wrong = asked(f"numpy\n{line}\n")
    assert lines == ()
    assert f'"{line}" is no plain requirement; write a package and its versions' in wrong


def test_comments_and_empty_lines_say_nothing():
    assert asked("\n# of the model\nnumpy  # newest\n\npandas") == (("numpy", "pandas"), "")


def test_without_the_annotation_there_is_none():
    assert make_own_requirements({}) == ((), "")
    assert asked("") == ((), "")


@given(st.text(max_size=60))
def test_no_option_and_no_address_ever_passes(line: str):
    if validate_requirement(line):
        assert line[:1].isalnum()
        assert "@" not in line
        assert "/" not in line.partition(";")[0]
