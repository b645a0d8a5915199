"""Probes as values: Kubernetes's defaults, thresholds, waits, and what is not honoured."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.platforms.local.checks import Target, make_request
from sampan.platforms.local.probes import (
    BadProbe,
    Exec,
    Grpc,
    HttpGet,
    Probe,
    ProbeKind,
    Tally,
    TcpSocket,
    count,
    make_probe,
    next_wait,
)

TCP = TcpSocket(8080)


@pytest.mark.parametrize(
    ("spec", "probe"),
    [
        pytest.param({"tcpSocket": {"port": 8080}}, Probe(TCP, 0, 1, 10, 1, 3), id="defaults"),
        pytest.param(
            {"httpGet": {"port": "8080"}}, Probe(HttpGet(8080, "/")), id="a port as a string"
        ),
        pytest.param(
            {"httpGet": {"port": 1, "path": "x", "scheme": "HTTPS"}},
            Probe(HttpGet(1, "/x", https=True)),
            id="https, and a path without its slash",
        ),
        pytest.param(
            {"httpGet": {"port": 1, "httpHeaders": [{"name": "A", "value": "b"}]}},
            Probe(HttpGet(1, headers=(("A", "b"),))),
            id="headers",
        ),
        pytest.param({"exec": {"command": ["a", "b"]}}, Probe(Exec(("a", "b"))), id="a command"),
        pytest.param({"grpc": {"port": 1, "service": "s"}}, Probe(Grpc(1, "s")), id="gRPC"),
        pytest.param(
            {
                "tcpSocket": {"port": 8080},
                "initialDelaySeconds": 1,
                "timeoutSeconds": 2,
                "periodSeconds": 3,
                "successThreshold": 4,
                "failureThreshold": 5,
                "terminationGracePeriodSeconds": 0,
            },
            Probe(TCP, 1, 2, 3, 4, 5, 0),
            id="every field",
        ),
    ],
)
def test_the_probe_of_its_json(spec: dict[str, Any], probe: Probe) -> None:
    assert make_probe(spec) == probe


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({}, "has no action", id="nothing to do"),
        pytest.param(
            {"httpGet": {"port": "http"}}, '"http" is neither a number', id="a named port"
        ),
    ],
)
def test_a_probe_that_cannot_be_run_says_why(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(BadProbe, match=words):
        make_probe(spec)


@given(
    results=st.lists(st.booleans(), max_size=30),
    success=st.integers(1, 4),
    failure=st.integers(1, 4),
)
def test_it_turns_exactly_when_a_threshold_in_a_row_is_reached(
    results: list[bool], success: int, failure: int
) -> None:
    probe = Probe(TCP, success=success, failure=failure)
    tally, expected = Tally(), None
    for end, passed in enumerate(results, start=1):
        tally = count(tally, probe, passed=passed)
        if end >= success and all(results[end - success : end]):
            expected = True
        if end >= failure and not any(results[end - failure : end]):
            expected = False
        assert tally.passing is expected


@given(period=st.floats(1, 60), failure=st.integers(1, 10), waited=st.floats(0, 1))
def test_readiness_is_lost_within_about_a_second_whatever_its_period(
    period: float, failure: int, waited: float
) -> None:
    probe = Probe(TCP, period=period, failure=failure)
    tally, waits = Tally(1, 0, passing=True), 0.0
    while tally.passing:
        tally = count(tally, probe, passed=False)
        waits += next_wait(ProbeKind.READINESS, probe, tally, waited) if tally.passing else 0.0
    assert waits <= 1.0 + 1e-9


@given(period=st.floats(1, 60), waited=st.floats(0, 1))
def test_waits_are_never_longer_than_the_period_nor_than_a_second(
    period: float, waited: float
) -> None:
    probe = Probe(TCP, period=period)
    for kind in (ProbeKind.STARTUP, ProbeKind.READINESS):
        assert 0.005 <= next_wait(kind, probe, Tally(), waited) <= min(1.0, period)
    assert next_wait(ProbeKind.LIVENESS, probe, Tally(), waited) == period


def test_a_request_has_the_kubelets_headers_unless_others_are_given() -> None:
    target = Target({8080: 2001}, {}, "/")
    action = HttpGet(8080, "/ready", headers=(("host", "iris.example"), ("X-A", "1")))
    assert make_request(action, target) == (
        b"GET /ready HTTP/1.1\r\nUser-Agent: kube-probe/sampan\r\nAccept: */*\r\n"
        b"host: iris.example\r\nX-A: 1\r\nConnection: close\r\n\r\n"
    )
