"""Tables: cells by their column's type, ages as kubectl prints them."""

from __future__ import annotations

import pytest

from sampan.apiserver.durations import render_age, render_duration
from sampan.apiserver.replicas import PODS
from sampan.apiserver.table import build_table, columns_of, make_cell
from sampan.machinery.registry import Column, Resource
from sampan.machinery.timestamps import seconds

NOW = seconds("2026-01-31T12:00:00Z")
OBJ = {
    "metadata": {"name": "x", "creationTimestamp": "2026-01-31T11:58:00Z"},
    "data": {"a": "1", "b": "2"},
    "on": True,
    "n": 7,
    "words": ["one", "two"],
    "deep": {"k": [1]},
}


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (Column("C", ".words[0]"), "one"),
        (Column("C", ".words[*]"), "one two"),
        (Column("C", ".n"), "7"),
        (Column("C", ".on"), "true"),
        (Column("C", ".deep"), '{"k":[1]}'),
        (Column("C", ".n", "integer"), 7),
        (Column("C", ".data", "integer"), 2),
        (Column("C", ".words[0]", "integer"), None),
        (Column("C", ".on", "boolean"), True),
        (Column("C", ".n", "boolean"), None),
        (Column("C", ".metadata.creationTimestamp", "date"), "2m"),
        (Column("C", ".n", "date"), "<unknown>"),
        (Column("C", ".none"), None),
        (Column("C", ".none", "date"), None),
    ],
)
def test_a_cell_is_what_its_type_makes_of_the_path(column, cell):
    assert make_cell(column, OBJ, NOW) == cell


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"),
        (599, "9m59s"), (600, "10m"), (10799, "179m"), (10800, "3h"), (11400, "3h10m"),
        (28800, "8h"), (172799, "47h"), (172800, "2d"), (180000, "2d2h"), (691200, "8d"),
        (63072000, "2y"), (64000000, "2y10d"), (252288000, "8y"),
    ],
)  # fmt: skip
def test_ages_have_two_units_at_most(elapsed, text):
    assert render_duration(elapsed) == text


def test_an_age_of_nothing_is_unknown():
    assert render_age(None, NOW) == "<unknown>"
    assert render_age("yesterday", NOW) == "<invalid>"


def test_a_kind_without_columns_shows_name_and_age():
    plain = Resource("g", "v1", "Plain", "plains")
    assert [c.name for c in columns_of(plain)] == ["Name", "Age"]
    assert build_table(plain, [OBJ], NOW)["rows"][0]["cells"] == ["x", "2m"]


@pytest.mark.parametrize(
    ("status", "cells"),
    [
        pytest.param({"phase": "Pending"}, ["0/1", "Pending", "0"], id="not started"),
        pytest.param(
            {"phase": "Running", "containerStatuses": [{"ready": True, "restartCount": 0}]},
            ["1/1", "Running", "0"],
            id="ready",
        ),
        pytest.param(
            {
                "phase": "Running",
                "containerStatuses": [
                    {
                        "ready": False,
                        "restartCount": 3,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"finishedAt": "2026-01-31T11:59:00Z"}},
                    }
                ],
            },
            ["0/1", "CrashLoopBackOff", "3 (60s ago)"],
            id="crashing",
        ),
        pytest.param(
            {
                "phase": "Failed",
                "containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled"}}}],
            },
            ["0/1", "OOMKilled", "0"],
            id="killed",
        ),
    ],
)
def test_a_pod_shows_the_word_that_tells_most(status, cells):
    pod = {**OBJ, "spec": {"containers": [{"name": "c"}]}, "status": status}
    assert build_table(PODS, [pod], NOW)["rows"][0]["cells"][1:4] == cells
