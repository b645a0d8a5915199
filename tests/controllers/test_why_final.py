"""Which failures end the wait of who asked for a service, and which still may pass."""

from __future__ import annotations

import pytest

from sampan.controllers.why import stays
from sampan.plan.chain import ChainLink
from sampan.plan.observed import Link, LinkState

NOW = 1_000.0


@pytest.mark.parametrize(
    ("name", "since", "retry_at", "expected"),
    [
        pytest.param("download", NOW, 0.0, True, id="what nobody tries again stays"),
        pytest.param("process", NOW, NOW + 60, True, id="a try far away is not waited for"),
        pytest.param("process", NOW, NOW + 2, False, id="a try that comes soon is waited for"),
        pytest.param("route", NOW - 5, 0.0, False, id="a new route is given time to be taken"),
        pytest.param("route", NOW - 20, 0.0, True, id="a route that long refuses requests stays"),
    ],
)
def test_a_failure_stays(name: str, since: float, retry_at: float, expected: bool) -> None:
    link = Link(LinkState.FAILED, "Some", "some", since=since, retry_at=retry_at)
    assert stays(ChainLink(name, link), NOW) is expected
