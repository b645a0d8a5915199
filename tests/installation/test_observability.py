"""Alerts and board: they ask for numbers that the operator has, and each alert has its mend."""

from __future__ import annotations

import json
import re

import pytest

from sampan.cli.main import main
from sampan.installation import activator_observability as activators
from sampan.installation.observability import ALERTS, ALL_PANELS, make_board, make_monitoring
from sampan.installation.options import Options

METRIC = re.compile(r"\b(?:sampan|process)_\w+")


@pytest.fixture(scope="session")
def known(operator_metrics: str, activator_metrics: str) -> set[str]:
    told = f"{operator_metrics}\n{activator_metrics}"
    return set(re.findall(r"^(\w+)(?:\{| )", told, re.MULTILINE))


QUESTIONS = [
    *(alert.expression for alert in (*ALERTS, *activators.ALERTS)),
    *(question for _, question, _ in ALL_PANELS),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_number_that_is_asked_for_is_there(question: str, known: set[str]) -> None:
    asked = set(METRIC.findall(question))
    assert asked
    assert asked <= known


def test_an_alert_says_what_to_do() -> None:
    made = make_monitoring(Options(activators=2))
    for monitor, rules in zip(made[::2], made[1::2], strict=True):
        for rule in rules["spec"]["groups"][0]["rules"]:
            assert rule["annotations"]["description"].startswith("To mend it: ")
            assert rule["labels"]["severity"] in {"critical", "warning"}
        assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "health", "path": "/metrics"}]


def test_without_activators_nobody_is_told_of_any() -> None:
    assert {o["metadata"]["name"] for o in make_monitoring(Options())} == {"sampan-operator"}


def test_panels_do_not_cover_each_other() -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in make_board()["panels"]]
    assert len(set(places)) == len(ALL_PANELS)


def test_the_board_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["install", "--format", "grafana"])
    assert json.loads(capsys.readouterr().out) == make_board()
