"""`sampan autoscale simulate`: a chart, rows, a picture, and every bad input."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.autoscaler.simulate import Moment
from sampan.cli.autoscale_chart import fold, render_chart

LOAD = "second,concurrency\n0,5\n20,40\n60,5\n120,0\n220,0\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "load.csv"
    path.write_text(LOAD)
    return path


Cli = Callable[..., Any]


def test_a_load_becomes_a_chart_with_its_decisions(cli: Cli, trace: Path) -> None:
    done = cli("autoscale", "simulate", "--trace", str(trace), "--set", "target=10")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "replicas (█ serving, ▒ starting)"
    assert any(line.startswith("     6") and "█" in line for line in lines)
    assert "at most 40 requests in flight" in lines
    assert "6 replicas: 40 requests in flight over 6 s, at 7 a replica" in done.out
    assert "0 replicas: 0 requests in flight over 60 s" in lines[-1]


def test_each_second_can_be_had_as_rows(cli: Cli, trace: Path) -> None:
    done = cli("autoscale", "simulate", "--trace", str(trace), "-o", "csv", "--set", "target=10")
    rows = [line.split(",") for line in done.out.splitlines()]
    assert rows[0] == ["second", "load", "wanted", "ready"]
    assert len(rows) == 1 + 221
    assert max(int(row[2]) for row in rows[1:]) == 6
    told = json.loads(cli("autoscale", "simulate", "--trace", str(trace), "-o", "json").out)
    assert (told[0]["second"], told[-1]["wanted"]) == (0, 0)


def test_requests_that_come_are_a_metric_of_their_own(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "rps.csv"
    path.write_text("second,requests\n0,1000\n30,1000\n")
    done = cli("autoscale", "simulate", "--trace", str(path))
    assert "requests a second over" in done.out
    assert "8 replicas" in done.out


def test_annotations_have_their_long_name_and_their_alias_too(cli: Cli, trace: Path) -> None:
    for key in ("max-scale", "maxScale", "autoscaling.knative.dev/max-scale"):
        done = cli("autoscale", "simulate", "--trace", str(trace), "--set", "target=1",
                   "--set", f"{key}=3", "-o", "csv")  # fmt: skip
        assert max(int(line.split(",")[2]) for line in done.out.splitlines()[1:]) == 3


BAD = {
    "another action": (["stimulate"], 2, 'write "simulate"'),
    "another form": (["simulate", "-o", "xml"], 2, 'output "xml"'),
    "an annotation without a value": (["simulate", "--set", "window"], 2, "has no value; write"),
    "a misspelt annotation": (["simulate", "--set", "windw=9s"], 2, 'did you mean "window"'),
    "a value out of bounds": (["simulate", "--set", "window=3s"], 1, "at least 6"),
    "values that contradict": (
        ["simulate", "--set", "min-scale=3", "--set", "max-scale=2"], 1, "at least the minimum",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", BAD)
def test_a_mistake(cli: Cli, trace: Path, row: str) -> None:
    (action, *args), code, words = BAD[row]
    done = cli("autoscale", action, "--trace", str(trace), *args)
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_a_trace_that_is_missing_or_broken_is_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    done = cli("autoscale", "simulate", "--trace", str(path))
    assert done.code == 1
    assert f'"{path}" cannot be read' in done.err
    path.write_text("second,concurrency\n0,x\n")
    done = cli("autoscale", "simulate", "--trace", str(path))
    assert 'line 2 has the value "x"' in done.err


def test_a_picture_is_a_png_or_its_library_is_named(cli: Cli, trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    done = cli("autoscale", "simulate", "--trace", str(trace), "--png", str(path))
    if importlib.util.find_spec("matplotlib") is None:
        assert done.code == 3
        assert 'pip install "sampan[plot]"' in done.err
    else:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_long_trace_fits_the_width() -> None:
    moments = [Moment(s, float(s), s // 100, s // 200) for s in range(10_000)]
    chart = render_chart(moments, "requests in flight", 80)
    assert max(map(len, chart.splitlines())) <= 80
    assert len(list(fold(moments, 72))) <= 72
    assert len(chart.splitlines()) < 20


def test_no_load_at_all_is_an_empty_row() -> None:
    chart = render_chart([Moment(0, 0.0, 0, 0)], "requests in flight", 80)
    assert "at most 0 requests in flight" in chart
