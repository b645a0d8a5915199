"""What Sampan costs while nothing happens, and how soon one more service answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
SECONDS = 20.0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mebibytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


@pytest.fixture(scope="module")
def ten(sampan: Any, isvc: Callable[..., str], iris: Path) -> Any:
    sampan.apply("---".join(isvc(f"iris-{n}", iris) for n in range(10)))
    for n in range(10):
        sampan.wait_ready(f"iris-{n}")
    return sampan


def test_an_idle_daemon_with_ten_services_uses_less_than_a_hundredth_of_a_core(
    ten: Any, record_property: Callable[[str, object], None]
) -> None:
    pid = int(ten.daemon["pid"])
    time.sleep(3.0)  # what the applies left to do
    before = cpu_seconds(pid)
    time.sleep(SECONDS)
    share = (cpu_seconds(pid) - before) / SECONDS
    record_property("share of a core", share)
    record_property("resident MiB", resident_mebibytes(pid))
    assert share < 0.01
    assert resident_mebibytes(pid) < 100


def test_services_of_one_runtime_share_one_zygote(ten: Any) -> None:
    # One that has imported the framework; one that has imported nothing is for plain commands.
    assert len(list((ten.state / "zygotes").glob("*.sock"))) <= 2


def test_one_more_service_of_a_runtime_answers_in_a_fraction_of_a_second(
    ten: Any, make_api: Callable[[Any], Any], iris: Path
) -> None:
    api, times = make_api(ten), []
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": str(iris)}
    for n in range(5):
        name = f"more-{n}"
        began = time.monotonic()
        status, told = api.ask(
            "POST",
            SERVICES,
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "metadata": {"name": name},
                "spec": {"predictor": {"model": model}},
            },
        )
        assert status == 201, told
        while not is_ready(api.ask("GET", f"{SERVICES}/{name}")[1]):
            time.sleep(0.005)
        assert ten.predict(name, {"instances": [[6.8, 2.8, 4.8, 1.4]]})[0] == 200
        times.append(time.monotonic() - began)
    # Some 90 ms on a quiet machine; an import instead of a fork would take over a second.
    assert min(times) < 0.3, times


def is_ready(service: Any) -> bool:
    conditions = (service.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
