"""Alerts and board: they ask for numbers that the operator has, and each alert has its mend."""

from __future__ import annotations

import json
import re

import pytest

from sampan.cli.main import main
from sampan.installation.observability import ALERTS, PANELS, make_board, make_monitoring
from sampan.installation.options import Options

METRIC = re.compile(r"\b(?:sampan|process)_\w+")


@pytest.fixture(scope="session")
def known(operator_metrics: str) -> set[str]:
    return set(re.findall(r"^(\w+)(?:\{| )", operator_metrics, re.MULTILINE))


@pytest.mark.parametrize("question", [*(a.expression for a in ALERTS), *(q for _, q, _ in PANELS)])
def test_every_number_that_is_asked_for_is_there(question: str, known: set[str]) -> None:
    asked = set(METRIC.findall(question))
    assert asked
    assert asked <= known


def test_an_alert_says_what_to_do() -> None:
    monitor, rules = make_monitoring(Options())
    for rule in rules["spec"]["groups"][0]["rules"]:
        assert rule["annotations"]["description"].startswith("To mend it: ")
        assert rule["labels"]["severity"] in {"critical", "warning"}
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "health", "path": "/metrics"}]


def test_panels_do_not_cover_each_other() -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in make_board()["panels"]]
    assert len(set(places)) == len(PANELS)


def test_the_board_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["install", "--format", "grafana"])
    assert json.loads(capsys.readouterr().out) == make_board()
