"""Faults of the machine and of its operator: said by `why` and `up`, and over when mended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BODY = {"instances": [[6.8, 2.8, 4.8, 1.4]]}


def envoy_of(sampan: Any) -> int:
    return int(json.loads((sampan.state / "gateway/envoy.json").read_text())["pid"])


def ready_condition(sampan: Any, name: str) -> dict[str, Any]:
    path = f"/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/{name}"
    found = sampan.api(path)["status"]["conditions"]
    return next(c for c in found if c["type"] == "Ready")


def events_of(sampan: Any, name: str) -> set[tuple[str, str]]:
    path = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={name}"
    return {(e["reason"], e["message"]) for e in sampan.api(path)["items"]}


def test_a_gateway_that_hangs_is_told_while_the_model_answers_and_is_over_when_it_goes_on(
    make_sampan: Callable[..., Any], isvc: Callable[..., str], iris: Path
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    envoy = envoy_of(sampan)
    os.kill(envoy, signal.SIGSTOP)
    try:
        told = sampan.wait_for("iris", lambda t: t["link"] == "route", 20)
        assert told["state"] == "failed"
        assert "gateway" in told["message"]
        assert "the gateway is asked again" in told["mend"]
        assert {link["name"]: link["state"] for link in told["links"]}["ready"] == "done"
        condition = ready_condition(sampan, "iris")
        assert (condition["status"], condition["reason"]) == ("False", told["reason"])
        assert (told["reason"], told["message"]) in events_of(sampan, "iris")
        assert sampan.run("why", "iris").returncode == 1
    finally:
        os.kill(envoy, signal.SIGCONT)
    sampan.wait_ready("iris", 20)
    assert sampan.predict("iris", BODY) == (200, {"predictions": [1]})


def test_a_gateway_that_is_killed_comes_back_by_itself(
    make_sampan: Callable[..., Any], isvc: Callable[..., str], iris: Path
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    killed = envoy_of(sampan)
    os.kill(killed, signal.SIGKILL)
    limit = time.monotonic() + 20
    while envoy_of(sampan) == killed and time.monotonic() < limit:
        time.sleep(0.05)
    assert envoy_of(sampan) != killed
    sampan.wait_ready("iris", 20)
    assert sampan.predict("iris", BODY) == (200, {"predictions": [1]})
    assert "InferenceServiceReady" in {reason for reason, _ in events_of(sampan, "iris")}


def test_a_disk_without_the_room_that_must_stay_free_is_told_with_both_sizes(
    make_sampan: Callable[..., Any], isvc: Callable[..., str], web: str
) -> None:
    sampan = make_sampan(
        extra_env={"SAMPAN_RESERVE_BYTES": "8Pi", "SAMPAN_ALLOW_PRIVATE_SOURCES": "127.0.0.1"}
    )
    sampan.up()
    sampan.apply(isvc("full", f"{web}/plain/model.joblib"))
    told = sampan.wait_for("full", lambda t: t["state"] == "failed", 30)
    assert (told["link"], told["reason"]) == ("download", "DiskFull")
    assert "8192.0 TiB must stay free" in told["message"]
    assert "23 B more" in told["message"]
    assert "storage.reserveBytes" in told["mend"]
    condition = ready_condition(sampan, "full")
    assert condition["reason"] == "DiskFull"
    assert condition["message"] == f"download: {told['message']}"
    assert ("DiskFull", told["message"]) in events_of(sampan, "full")


@pytest.mark.parametrize(
    ("file", "text", "code", "told"),
    [
        pytest.param(
            "config.yaml", "storage:\n  stallSecond: 3\n", 2,
            'config.yaml:2: unknown setting "stallSecond"; did you mean "stallSeconds"',
            id="a setting that is misspelt",
        ),
        pytest.param(
            "config.yaml", "storage:\n - a: [\n", 2, "config.yaml:3:1: ",
            id="settings that do not parse",
        ),
        pytest.param(
            "images.yaml", "images:\n- image: a\n  argv: [x]\n  environment: {}\n", 3,
            'unknown field "environment"',
            id="an image with an unknown field",
        ),
        pytest.param(
            "images.yaml", "images: [\n", 3, "images.yaml", id="images that do not parse",
        ),
    ],
)  # fmt: skip
def test_a_file_of_the_operator_that_is_wrong_keeps_the_daemon_from_starting(
    make_sampan: Callable[..., Any], file: str, text: str, code: int, told: str
) -> None:
    sampan = make_sampan()
    folder = sampan.home / "config/sampan"
    folder.mkdir(parents=True)
    (folder / file).write_text(text)
    done = sampan.run("up", "--port", str(sampan.port))
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert sampan.run("get", "isvc").returncode == 3
