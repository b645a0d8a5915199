"""Alerts and board: they ask for numbers that the operator has, and each alert has its mend."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sampan.cli.main import main
from sampan.installation import activator_observability as activators
from sampan.installation.bundle import render_yaml
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


@pytest.mark.slow
def test_prometheus_s_own_tool_takes_every_rule(tmp_path: Path) -> None:
    tool = os.environ.get("SAMPAN_TEST_PROMTOOL") or shutil.which("promtool")
    if not tool:
        pytest.skip("promtool is not installed; name it in SAMPAN_TEST_PROMTOOL")
    made = [o for o in make_monitoring(Options(activators=2)) if o["kind"] == "PrometheusRule"]
    assert len(made) == 2
    for number, rule in enumerate(made):
        path = tmp_path / f"{number}.yaml"
        path.write_text(render_yaml([rule["spec"]]))
        told = subprocess.run(
            [tool, "check", "rules", str(path)], capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr
