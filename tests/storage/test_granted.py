"""What one namespace fetched by its credentials is given to no other by the cache they share."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
from tests.storage.conftest import Bench, Origin
from tests.storage.hub_server import HubServer
from tests.storage.registry_server import RegistryServer, make_layer
from tests.storage.s3_server import S3, Asked, error

from sampan.storage.base import StorageError
from sampan.storage.granted import OPEN, make_mark

LAYER = make_layer(("models/m", b"m"))
PULL = "/mnt/oci-fetch-auth/config.json"


@pytest.fixture
async def hub(bench: Bench) -> AsyncIterator[HubServer]:
    served = HubServer(token="hf_ours")
    await served.start()
    served.commit({"m": b"m"})
    bench.set(allowed_private_hosts=("127.0.0.1", "localhost"))
    yield served
    await served.stop()


@pytest.fixture
async def registry(bench: Bench) -> AsyncIterator[RegistryServer]:
    served = RegistryServer(user="me:secret")
    await served.start()
    bench.set(allowed_private_hosts=("127.0.0.1", "localhost"))
    yield served
    await served.stop()


@pytest.fixture
async def s3(bench: Bench) -> AsyncIterator[S3]:
    served = S3({"iris/model.joblib": b"weights", "iris/labels": b"one"})
    await served.start()
    bench.set(environment=served.environment)
    yield served
    served.stop()


async def denied(_: S3, __: Asked, writer: asyncio.StreamWriter) -> None:
    """Answer as a bucket that may be listed only."""
    error(writer, 403, "AccessDenied")


async def refused(bench: Bench, uri: str) -> str:
    with pytest.raises(StorageError) as caught:
        await bench.fetch(uri)
    return caught.value.reason


def be(bench: Bench, hub: HubServer, token: str, **more: str) -> None:
    """Ask as who has a token."""
    bench.set(environment={"HF_ENDPOINT": hub.root, "HF_TOKEN": token, **more})


def private(hub: HubServer):
    """Have the hub say that its model is private, to those whom it says anything."""

    def act(request):
        status, headers, body = hub.answer(request)
        if "/revision/" not in request.path or status != 200:
            return None
        return status, headers, json.dumps({**json.loads(body), "private": True}).encode()

    return act


async def test_a_private_commit_is_served_unasked_to_who_was_given_it(hub, bench):
    hub.act = private(hub)
    uri = f"hf://owner/model:{hub.branches['main']}"
    be(bench, hub, "hf_ours")
    first = await bench.fetch(uri)
    for token in ("", "hf_x"):
        be(bench, hub, token)
        assert await refused(bench, uri) == "ModelNotFound"
    be(bench, hub, "hf_ours")
    await hub.stop()
    assert (await bench.fetch(uri)).path == first.path


@pytest.mark.parametrize("offline", ["", "1"])
async def test_while_the_hub_is_away_a_private_copy_is_for_who_was_given_it(hub, bench, offline):
    hub.act = private(hub)
    be(bench, hub, "hf_ours")
    first = await bench.fetch("hf://owner/model")
    await hub.stop()
    be(bench, hub, "", HF_HUB_OFFLINE=offline)
    reason = "ModelNotFound" if offline else "ConnectionFailed"
    assert await refused(bench, "hf://owner/model") == reason
    be(bench, hub, "hf_ours", HF_HUB_OFFLINE=offline)
    assert (await bench.fetch("hf://owner/model")).path == first.path


async def test_a_public_model_that_came_by_a_token_is_for_everybody(hub, bench):
    uri = f"hf://owner/model:{hub.branches['main']}"
    be(bench, hub, "hf_ours")
    first = await bench.fetch(uri)
    await hub.stop()
    be(bench, hub, "")
    assert (await bench.fetch(uri)).path == first.path


def log_in(bench: Bench, registry: RegistryServer, pair: str) -> None:
    entry = {"auth": b64encode(pair.encode()).decode()}
    bench.set(files={PULL: json.dumps({"auths": {registry.host: entry}})} if pair else {})


@pytest.mark.parametrize("pinned", [True, False])
async def test_an_image_is_served_unasked_to_who_was_given_it(registry, bench, pinned):
    digest = registry.put(LAYER)
    uri = f"oci://{registry.host}/team/model" + (f"@{digest}" if pinned else ":v1")
    log_in(bench, registry, "me:secret")
    first = await bench.fetch(uri)
    for pair in ("", "me:wrong"):
        log_in(bench, registry, pair)
        assert await refused(bench, uri) == "AuthenticationFailed"
    await registry.stop()
    assert await refused(bench, uri) == "ConnectionFailed"
    log_in(bench, registry, "me:secret")
    assert (await bench.fetch(uri)).path == first.path


async def test_no_credential_stands_in_the_cache(registry, bench):
    registry.put(LAYER)
    log_in(bench, registry, "me:secret")
    await bench.fetch(f"oci://{registry.host}/team/model:v1")
    kept = [p.read_bytes() for p in bench.options.cache.rglob("*") if p.is_file()]
    assert not any(b"secret" in text or b64encode(b"me:secret") in text for text in kept)


async def test_marks_tell_credentials_and_models_apart():
    marks = [
        await make_mark(identity, *credentials)
        for identity, *credentials in (("a", "x"), ("b", "x"), ("a", "y"), ("a", "", "x"))
    ]
    assert len({*marks, OPEN}) == 5
    assert await make_mark("a", "", "") == OPEN


@pytest.mark.parametrize("pinned", [True, False])
async def test_a_file_is_served_unasked_to_who_was_given_it(origin: Origin, bench: Bench, pinned):
    digest = "#sha256=9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    uri = f"{origin.root}/model.bin" + (digest if pinned else "")
    ours = {"127.0.0.1": {"Authorization": "Bearer ours"}}
    bench.set(host_headers=ours)
    first = await bench.fetch(uri)
    bench.set(host_headers={})
    origin.acts = [origin.act.status(401)]
    assert await refused(bench, uri) == "AuthenticationFailed"
    await origin.stop()
    assert await refused(bench, uri) == "ConnectionFailed"
    bench.set(host_headers=ours)
    assert (await bench.fetch(uri)).path == first.path


async def test_who_may_list_a_bucket_and_not_read_it_is_not_given_the_copy(s3, bench):
    first = await bench.fetch("s3://models/iris")
    bench.set(environment={**s3.environment, "AWS_DEFAULT_REGION": "eu-central-1"})
    s3.acts = [denied]
    assert await refused(bench, "s3://models/iris") == "AccessDenied"
    s3.seen.clear()
    assert (await bench.fetch("s3://models/iris")).path == first.path
    assert [a.headers.get("range") for a in s3.seen if a.key] == ["bytes=6-"]


async def test_who_fetched_a_bucket_is_not_asked_for_its_objects_again(s3, bench):
    await bench.fetch("s3://models/iris")
    s3.seen.clear()
    await bench.fetch("s3://models/iris")
    assert s3.objects_asked() == []
