"""Certificates: made once for all replicas, renewed in time, believed all the while."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Any

import pytest
from tests.webhooks.conftest import CLUSTER, silent

from sampan.api.scheme import REGISTRY
from sampan.app.serve_socket import Address, bind
from sampan.machinery.authority import Pair
from sampan.machinery.store import Key
from sampan.machinery.store_memory import MemoryStore
from sampan.webhooks.certificates import (
    RENEW_DAYS,
    SECRET_NAME,
    VALID_DAYS,
    read_pair,
    service_names,
)
from sampan.webhooks.configurations import (
    DEFINITIONS,
    MUTATING,
    NAME,
    VALIDATING,
    Place,
    make_configurations,
)
from sampan.webhooks.front import Front, make_judgements
from sampan.webhooks.serving import WebhookServer
from sampan.webhooks.trust import Trust

NAMES = service_names("sampan-webhook", "kserve")
HOUR, DAY = 3600.0, 86400.0
START = 1_800_000_000.0
CRD = "llminferenceservices.serving.kserve.io"


class SetClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def make_trust(store: MemoryStore, clock: SetClock) -> Trust:
    return Trust(store, clock, "kserve", NAMES, (CRD,))


async def register(store: MemoryStore) -> None:
    mutating, validating = make_configurations(REGISTRY, Place())
    await store.create(MUTATING.id, mutating)
    await store.create(VALIDATING.id, validating)
    client = {"service": {"name": "sampan-webhook", "namespace": "kserve", "path": "/convert"}}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
    spec = {"conversion": {"strategy": "Webhook", "webhook": webhook}}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    await store.create(DEFINITIONS.id, {**head, "metadata": {"name": CRD}, "spec": spec})


async def bundles(store: MemoryStore) -> set[bytes]:
    """Every authority that an API server would trust for a webhook of ours."""
    clients = []
    for resource in (MUTATING, VALIDATING):
        found = await store.get(Key(resource.id, "", NAME))
        clients += [w["clientConfig"] for w in found["webhooks"]]
    crd = await store.get(Key(DEFINITIONS.id, "", CRD))
    clients.append(crd["spec"]["conversion"]["webhook"]["clientConfig"])
    return {base64.b64decode(c.get("caBundle", "")) for c in clients}


async def test_a_pair_is_made_once_and_trusted_everywhere(store: Any, clock: SetClock) -> None:
    await register(store)
    one, other = await asyncio.gather(*(make_trust(store, clock).apply() for _ in range(2)))
    assert one == other
    assert await bundles(store) == {one.authority}


async def test_webhooks_that_were_ignored_are_heard_once_they_answer(
    store: Any, clock: SetClock
) -> None:
    await register(store)
    found = await store.get(Key(VALIDATING.id, "", NAME))
    ignored = [{**w, "failurePolicy": "Ignore"} for w in found["webhooks"]]
    await store.update(VALIDATING.id, {**found, "webhooks": ignored})
    await make_trust(store, clock).apply()
    found = await store.get(Key(VALIDATING.id, "", NAME))
    assert {w["failurePolicy"] for w in found["webhooks"]} == {"Fail"}


async def test_conversion_is_asked_for_where_the_operator_is(store: Any, clock: SetClock) -> None:
    await register(store)
    await Trust(store, clock, "elsewhere", NAMES, (CRD,)).apply()
    crd = await store.get(Key(DEFINITIONS.id, "", CRD))
    client = crd["spec"]["conversion"]["webhook"]["clientConfig"]
    assert client["service"] == {
        "name": "sampan-webhook", "namespace": "elsewhere", "path": "/convert",
    }  # fmt: skip


async def test_what_is_trusted_already_is_not_written_again(store: Any, clock: SetClock) -> None:
    await register(store)
    await make_trust(store, clock).apply()
    version = (await store.list(MUTATING.id)).resource_version
    await make_trust(store, clock).apply()
    assert (await store.list(MUTATING.id)).resource_version == version


async def test_configurations_that_are_not_there_are_no_hindrance(
    store: Any, clock: SetClock
) -> None:
    assert (await make_trust(store, clock).apply()).certificate


async def test_a_pair_is_renewed_before_its_end_and_the_old_one_believed(
    store: Any, clock: SetClock
) -> None:
    await register(store)
    old = await make_trust(store, clock).apply()
    clock.time += (VALID_DAYS - RENEW_DAYS - 1) * DAY
    assert await make_trust(store, clock).apply() == old
    clock.time += 2 * DAY
    new = await make_trust(store, clock).apply()
    assert new.certificate != old.certificate
    assert new.authority.endswith(old.authority)
    assert await bundles(store) == {new.authority}
    clock.time += VALID_DAYS * DAY
    last = await make_trust(store, clock).apply()
    assert old.authority not in last.authority, "only the one before is believed"


@pytest.mark.parametrize(
    ("made_at", "looked_at", "same"),
    [
        pytest.param(+3 * HOUR, 0.0, False, id="one by a clock hours ahead is not good yet"),
        pytest.param(-3 * HOUR, 0.0, True, id="one by a clock hours behind is good"),
        pytest.param(0.0, -3 * HOUR, False, id="to a clock hours behind one of now is not good"),
        pytest.param(0.0, -0.5 * HOUR, True, id="half an hour is no matter"),
        pytest.param(0.0, (VALID_DAYS + 1) * DAY, False, id="one that expired is not good"),
    ],
)
async def test_clocks_that_disagree_about_a_certificate(
    made_at: float, looked_at: float, same: bool, store: Any, clock: SetClock
) -> None:
    clock.time = START + made_at
    first = await make_trust(store, clock).apply()
    clock.time = START + looked_at
    second = await make_trust(store, clock).apply()
    assert (second == first) is same
    if looked_at <= 0:  # whoever looks next, by either clock: there is no to and fro
        clock.time = START + made_at
        assert await make_trust(store, clock).apply() == second


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="no data"),
        pytest.param({}, id="no keys"),
        pytest.param({"ca.crt": "%", "tls.crt": "%", "tls.key": "%"}, id="no base64"),
        pytest.param({"ca.crt": "YQ==", "tls.crt": "YQ==", "tls.key": "YQ=="}, id="no PEM"),
    ],
)
async def test_a_secret_that_somebody_spoilt_is_made_anew(
    store: Any, clock: SetClock, data: Any
) -> None:
    spoilt = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "namespace": "kserve"},
        **({} if data is None else {"data": data}),
    }
    await store.create("secrets", spoilt)
    pair = await make_trust(store, clock).apply()
    stored = await store.get(Key("secrets", "kserve", SECRET_NAME))
    assert read_pair(stored, NAMES, START) == pair


async def test_a_pair_for_other_names_is_made_anew(store: Any, clock: SetClock) -> None:
    other = Trust(store, clock, "kserve", service_names("other", "kserve"))
    assert await other.apply() != await make_trust(store, clock).apply()


async def test_a_renewed_certificate_is_shown_to_the_next_connection(clock: SetClock) -> None:
    store = MemoryStore(CLUSTER, clock)
    trust = Trust(store, clock, "kserve", ("127.0.0.1",))
    clock.time = __import__("time").time()
    first = await trust.apply()
    server = WebhookServer(Front(make_judgements(REGISTRY, store, silent), REGISTRY), first)
    await server.serve(bind(Address(), "127.0.0.1", 0))
    assert await shown(server, first) == der(first)
    clock.time += (VALID_DAYS - RENEW_DAYS + 1) * DAY
    second = await trust.apply()
    server.show(second)
    assert await shown(server, first, checked=False) == der(second)
    await server.drain(1)
    await store.close()


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


async def shown(server: WebhookServer, trusted: Pair, *, checked: bool = True) -> bytes:
    context = ssl.create_default_context(cadata=trusted.authority.decode())
    if not checked:  # the clock of the test is months ahead of OpenSSL's
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(*server.address, ssl=context)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return bytes(certificate)
