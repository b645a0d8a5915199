"""The stock Kubernetes client and KServe's own, unmodified: a test for each step they take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Report, Sampan, step_names

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kubernetes_report(run_program: Callable[..., Report], iris: Path) -> Report:
    return run_program("program_kubernetes.py", str(iris))


@pytest.fixture(scope="module")
def kserve_report(run_program: Callable[..., Report], sampan: Sampan, iris: Path) -> Report:
    return run_program("program_kserve.py", str(iris), f"127.0.0.1:{sampan.port}")


@pytest.mark.parametrize("step", step_names("program_kubernetes.py"))
def test_kubernetes(kubernetes_report: Report, step: str):
    assert kubernetes_report[step] == ""


@pytest.mark.parametrize("step", step_names("program_kserve.py"))
def test_kserve(kserve_report: Report, step: str):
    assert kserve_report[step] == ""
