"""Who may speak to the server."""

from __future__ import annotations

import pytest

from sampan.apiserver.guard import Guard
from sampan.apiserver.messages import Request
from sampan.machinery.errors import ApiError, Forbidden, Unauthorized

GUARD = Guard("secret", frozenset({"laptop"}), frozenset({"https://console.example"}))
GOOD = {"host": "127.0.0.1:8443", "authorization": "Bearer secret"}


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


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic secret", "secret", "Bearer secret2"]
)
def test_without_the_token_only_health_and_version_are_told(sent):
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        ask(path, authorization=sent)
    for path in ("/api", "/apis", "/openapi/v3", "/api/v1/secrets", "/healthz/../api"):
        with pytest.raises(Unauthorized):
            ask(path, authorization=sent)


def test_refusals_never_repeat_what_was_sent_as_token():
    with pytest.raises(ApiError) as refused:
        ask(authorization="Bearer my-other-secret")
    assert "my-other-secret" not in refused.value.message
    assert "secret" not in repr(GUARD).replace("frozenset", "")
