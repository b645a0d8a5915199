"""From where one may speak to the server."""

from __future__ import annotations

import pytest

from sampan.apiserver.guard import Guard
from sampan.apiserver.messages import Request
from sampan.machinery.errors import Forbidden

GUARD = Guard(frozenset({"laptop"}), frozenset({"https://console.example"}))
GOOD = {"host": "127.0.0.1:8443"}


def ask(path="/api", **headers):
    GUARD.check(Request("GET", path, {}, {**GOOD, **headers}))


OURS = "localhost localhost:1 127.0.0.1 127.0.0.1:8443 [::1]:1 LOCALHOST:1 laptop:1"
STRANGE = "evil.example evil.example:8443 127.0.0.1.evil.example localhost.evil:1 0.0.0.0:1 ::1"


@pytest.mark.parametrize("host", OURS.split())
def test_loopback_names_pass(host):
    ask(host=host)


@pytest.mark.parametrize("host", ["", *STRANGE.split()])
def test_any_other_host_is_refused_against_dns_rebinding(host):
    with pytest.raises(Forbidden, match="is not a name of this server"):
        ask(host=host)


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8443", "https://127.0.0.1:8443", "https://console.example"]
)
def test_its_own_and_allowed_origins_pass(origin):
    ask(origin=origin)


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:9"])
def test_pages_of_other_origins_are_refused(origin):
    with pytest.raises(Forbidden, match="may not use this server"):
        ask(origin=origin)
