"""`sampan top`: rows of services and their replicas, and what it says of bad words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sampan.cli.top import make_rows


def service(name: str, replicas: str = "1/1") -> dict[str, Any]:
    status = {"annotations": {"serving.sampan.dev/replicas": replicas}}
    return {"metadata": {"namespace": "default", "name": name}, "status": status}


def pod(name: str, of: str, cpu: str, memory: str) -> dict[str, Any]:
    labels = {"serving.kserve.io/inferenceservice": of}
    return {
        "metadata": {"namespace": "default", "name": name, "labels": labels},
        "containers": [{"name": "kserve-container", "usage": {"cpu": cpu, "memory": memory}}],
    }


def test_the_busiest_service_comes_first_and_each_replica_has_a_row() -> None:
    services = [service("idle", "0 (idle)"), service("calm"), service("busy", "2/3"), {
        "metadata": {"namespace": "default", "name": "new"},
    }]  # fmt: skip
    pods = [
        pod("calm-0", "calm", "5m", "100Mi"),
        pod("busy-0", "busy", "200m", "1Gi"),
        pod("busy-1", "busy", "1500m", "2097152"),
        pod("stranger", "", "9", "1Gi"),
    ]
    assert make_rows(services, pods, every=False) == [
        ["busy", "2/3", "busy-1", "1500m", "2Mi"],
        ["busy", "2/3", "busy-0", "200m", "1024Mi"],
        ["calm", "1/1", "calm-0", "5m", "100Mi"],
        ["idle", "0 (idle)", "", "", ""],
        ["new", "", "", "", ""],
    ]
    assert make_rows(services[:1], [], every=True) == [["default", "idle", "0 (idle)", "", "", ""]]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "yaml"], 2, '-o "yaml": choose json'),
        (["iris", "-A"], 2, "name services of one namespace"),
        (["nobody"], 1, '"nobody" not found'),
    ],
)
def test_what_cannot_be_shown_is_said(
    here: Any, cli: Callable[..., Any], words: list[str], code: int, said: str
) -> None:
    done = cli("top", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_a_server_without_services_shows_none(here: Any, cli: Callable[..., Any]) -> None:
    done = cli("top", "-n", "nowhere")
    assert (done.code, done.out) == (0, "")
    assert "No resources found" in done.err
    assert json.loads(cli("top", "-n", "nowhere", "-o", "json").out)["items"] == []
