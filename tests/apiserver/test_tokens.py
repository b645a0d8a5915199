"""Who holds which token: the owner's, and those of ServiceAccounts."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.scheme import REGISTRY
from sampan.apiserver.account_tokens import Claims, TokenSigner
from sampan.apiserver.server import ApiServer, Settings
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

SIGNER = TokenSigner(b"a key of the tests")
CLAIMS = Claims("lab", "bob", "uid-1", ("here",), 100, 200)
ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


class LaterClock(SystemClock):
    """The system's clock, put forward by a test."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def clock():
    return LaterClock()


@pytest.fixture
async def owner(client_of, clock):
    store = MemoryStore(REGISTRY, clock)
    server = ApiServer(store, REGISTRY, client_of.token, settings=Settings(clock=clock))
    await server.start()
    yield client_of(server)
    server.stop()
    await store.close()


def as_bearer(client, token):
    return replace(client, headers={**client.headers, "authorization": f"Bearer {token}"})


async def make_token(owner, **spec):
    answer = await owner.ok("POST", f"{ACCOUNT}/token", {"spec": spec})
    return answer["status"]["token"]


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}2"]
)
async def test_without_the_token_only_health_and_version_are_told(owner, client_of, sent):
    stranger = replace(
        owner, headers={**owner.headers, "authorization": sent.format(token=client_of.token)}
    )
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert (await stranger.send("GET", path)).code == 200
    for path in ("/api", "/apis", "/openapi/v3", "/api/v1/secrets", "/healthz/../api"):
        reply = await stranger.send("GET", path)
        assert reply.code == 401
        assert sent.partition(" ")[2] == "" or sent.partition(" ")[2] not in reply.body.decode()


async def test_whoami_tells_the_owner_and_an_account(owner):
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    told = (await owner.ok("POST", path, {}))["status"]["userInfo"]
    assert told == {"username": "sampan", "groups": ["system:masters", "system:authenticated"]}
    account = as_bearer(owner, await make_token(owner))
    told = (await account.ok("POST", path, {}))["status"]["userInfo"]
    assert told["username"] == "system:serviceaccount:default:default"
    assert told["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ]


async def test_a_token_ends(owner, clock):
    account = as_bearer(owner, await make_token(owner, expirationSeconds=600))
    clock.advance(500)
    assert (await account.send("GET", "/api")).code == 200
    clock.advance(101)
    told = await account.json("GET", "/api")
    assert told["code"] == 401
    assert 'the token of ServiceAccount "default/default" has expired' in told["message"]


async def test_a_token_dies_with_its_account(owner):
    account = as_bearer(owner, await make_token(owner))
    await owner.ok("DELETE", ACCOUNT)
    assert "void" in (await account.json("GET", "/api"))["message"]
    await owner.ok(
        "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}
    )
    assert (await account.send("GET", "/api")).code == 401, "another account of the same name"


async def test_a_token_for_another_audience_does_not_open_this_server(owner):
    token = await make_token(owner, audiences=["vault"])
    told = await as_bearer(owner, token).json("GET", "/api")
    assert told["code"] == 401
    assert 'is for "vault", not for this server' in told["message"]
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    review = await owner.ok("POST", path, {"spec": {"token": token, "audiences": ["vault"]}})
    assert review["status"]["authenticated"] is True
    assert review["status"]["user"]["username"] == "system:serviceaccount:default:default"
    review = await owner.ok("POST", path, {"spec": {"token": token}})
    assert review["status"]["authenticated"] is False


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"expirationSeconds": 10}, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": "long"}, "Invalid value: long"),
        ({"boundObjectRef": {"kind": "Pod", "name": "x"}}, "bound to its ServiceAccount only"),
    ],
)
async def test_a_token_that_cannot_be_made_says_why(owner, spec, text):
    told = await owner.json("POST", f"{ACCOUNT}/token", {"spec": spec})
    assert told["code"] == 422
    assert text in told["message"]


async def test_no_token_for_an_account_that_is_not_there(owner):
    path = "/api/v1/namespaces/default/serviceaccounts/nobody/token"
    told = await owner.json("POST", path, {})
    assert told["message"] == 'serviceaccounts "nobody" not found'


def test_a_token_says_what_it_was_made_of():
    assert SIGNER.parse_token(SIGNER.make_token(CLAIMS)) == CLAIMS


def test_another_key_does_not_take_it():
    assert TokenSigner(b"another").parse_token(SIGNER.make_token(CLAIMS)) is None


def test_a_token_without_a_signature_is_none():
    header, payload, _ = SIGNER.make_token(CLAIMS).split(".")
    nothing = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    assert SIGNER.parse_token(f"{nothing}.{payload}.") is None
    assert SIGNER.parse_token(f"{header}.{payload}") is None


@given(st.text(max_size=200))
def test_no_text_that_was_not_signed_is_a_token(text):
    assert SIGNER.parse_token(text) is None


@given(st.integers(0, 400), st.sampled_from("abcXYZ019-_."))
def test_a_changed_character_makes_it_none(at, character):
    token = SIGNER.make_token(CLAIMS)
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    parsed = SIGNER.parse_token(changed)
    assert (parsed is None) == (changed != token)


def test_the_key_is_never_shown():
    assert "a key" not in repr(SIGNER)
