"""What replicas are told of a daemon's traces."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sampan.platforms.local.container_env import select_inherited
from sampan.platforms.local.images import ImageTable, LocalCommand
from sampan.platforms.local.traces import REQUIREMENTS, add_tracing, make_names
from sampan.platforms.local.zygote import shared_env

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
SAMPLER = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
TIME = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "3", "OTEL_BSP_SCHEDULE_DELAY": "200"}


@pytest.mark.parametrize(
    ("told", "handed"),
    [
        pytest.param({**ENDPOINT, **SAMPLER, **TIME}, {**ENDPOINT, **SAMPLER, **TIME},
                     id="where, which and when are handed on"),
        pytest.param({**ENDPOINT, "OTEL_SERVICE_NAME": "daemon",
                      "OTEL_RESOURCE_ATTRIBUTES": "service.name=daemon"}, ENDPOINT,
                     id="the daemon's own name is not"),
        pytest.param({**ENDPOINT, "AWS_SECRET_ACCESS_KEY": "s", "OTELSOMETHING": "x"}, ENDPOINT,
                     id="nor is anything else"),
        pytest.param(SAMPLER, {}, id="nothing where nobody asks for traces"),
        pytest.param({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, {}, id="nor where they are off"),
        pytest.param({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, {}, id="nor where none go"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, {"OTEL_TRACES_EXPORTER": "otlp"},
                     id="without an address they go to the usual one"),
    ],
)  # fmt: skip
def test_what_is_handed_on(told: dict[str, str], handed: dict[str, str]) -> None:
    assert select_inherited({"PATH": "/bin", **told}) == {"PATH": "/bin", **handed}


def test_spans_tell_whose_they_are_and_replicas_share_a_zygote_all_the_same() -> None:
    first, second = (make_names(ENDPOINT, "team", "iris-predictor", name) for name in "ab")
    assert first == {
        "OTEL_SERVICE_NAME": "iris-predictor",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=team,k8s.pod.name=a",
    }
    assert shared_env({**ENDPOINT, **first}) == shared_env({**ENDPOINT, **second}) == ENDPOINT
    assert make_names({}, "team", "iris-predictor", "a") == {}


def test_sampan_s_own_servers_get_what_sends_traces_and_no_others() -> None:
    own = LocalCommand("own", ("{python}", "-m", "sampan.app.serve"), ("numpy",))
    other = LocalCommand("other", ("{python}", "-m", "vllm"), ("vllm",))
    table = add_tracing(ImageTable((own, other)))
    assert [command.requirements for command in table.commands] == [
        ("numpy", *REQUIREMENTS), ("vllm",),
    ]  # fmt: skip
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"]["tracing"] == list(REQUIREMENTS)
