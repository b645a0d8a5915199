"""Sizes stay small: good intentions do not hold them, so a test does."""

from __future__ import annotations

import statistics


def percentile(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def test_no_file_is_longer_than_600_lines(modules):
    assert [(m.name, m.lines) for m in modules if m.lines > 600] == []


def test_files_are_120_lines_at_the_median_and_350_at_the_ninetieth_percentile(modules):
    sizes = [m.lines for m in modules if m.path.name != "__init__.py"]
    assert statistics.median(sizes) <= 120
    assert percentile(sizes, 0.9) <= 350


def test_no_function_is_longer_than_70_lines(modules):
    assert [(n, s) for m in modules for n, s in m.functions() if s > 70] == []


def test_functions_are_9_lines_at_the_median_and_30_at_the_ninetieth_percentile(modules):
    sizes = [size for m in modules for _, size in m.functions()]
    assert statistics.median(sizes) <= 9
    assert percentile(sizes, 0.9) <= 30
