"""What workers tell each other of their metrics, also where the disk takes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.app.worker_metrics import WorkerMetrics
from sampan.server.metrics import Metrics


def make(folder: Path, index: int) -> tuple[Metrics, WorkerMetrics]:
    """The metrics of one of two workers."""
    metrics = Metrics()
    return metrics, WorkerMetrics(folder, index, 2, metrics)


def test_each_worker_sees_what_the_other_has_counted(tmp_path: Path) -> None:
    (counted, first), (_, second) = make(tmp_path, 0), make(tmp_path, 1)
    counted.refused("iris", "503")
    first.write()
    assert second.others() == [counted.state()]


def test_a_disk_that_takes_nothing_is_told_once_and_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "not yet"
    (counted, first), (_, second) = make(folder, 0), make(folder, 1)
    for _ in range(3):
        first.write()
    assert caplog.text.count("are not shared") == 1
    assert first.others() == []
    folder.mkdir()
    first.write()
    assert second.others() == [counted.state()]
