"""Tags, stickiness and copies of requests, by a real Envoy before two versions of a model."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from sampan.gateway.config_steering import STICKY_COOKIE
from sampan.gateway.listener import Gateway
from sampan.gateway.table import (
    Cluster,
    ComponentRoute,
    Mirror,
    RouteTable,
    Share,
    Steering,
    TableRoute,
    Tag,
)
from sampan.gateway.validation import Validation

HOST = "iris.default.localhost"
OLD, NEW = "default/iris-predictor", "default/iris-predictor-00002"
pytestmark = pytest.mark.slow  # an Envoy for each: 17 s in all

MakeBackend = Callable[..., Awaitable[Any]]


def make_route(steering: Steering, old: int = 50) -> TableRoute:
    return TableRoute(
        "default/iris", (HOST,), "/serving/default/iris",
        (Share(NEW, 100 - old), Share(OLD, old)), steering=steering,
    )  # fmt: skip


@pytest.fixture
async def versions(
    gateway: Gateway, make_backend: MakeBackend
) -> tuple[Any, Any, Callable[..., Awaitable[None]]]:
    """The old version, the new one, and how to serve them by some steering."""
    old, new = await make_backend("old"), await make_backend("new")
    clusters = (Cluster(OLD, (old.endpoint,), "/health"), Cluster(NEW, (new.endpoint,), "/health"))

    async def serve(steering: Steering, share_of_old: int = 50) -> None:
        table = RouteTable((make_route(steering, share_of_old),), clusters)
        assert await gateway.apply(table) == ()

    return old, new, serve


async def ask(
    gateway: Gateway, times: int = 1, host: str = HOST, path: str = "/v1", **headers: str
) -> Counter[str]:
    url = f"http://127.0.0.1:{gateway.settings.port}{path}"
    async with httpx.AsyncClient() as client:
        found = [
            (await client.get(url, headers={"host": host, **headers})).text.split()[0]
            for _ in range(times)
        ]
    return Counter(found)


TAGGED = Steering(
    tags=(
        Tag("latest", 0, ("latest-iris-predictor.default.localhost",), by_header=True),
        Tag("prev", 1, ("prev-iris-predictor.default.localhost",), by_header=True),
    )
)


WAYS = {
    "its header": ({"knative-serving-tag": "TAG"}, HOST, "/v1"),
    "its cookie": ({"cookie": "knative-serving-tag=TAG"}, HOST, "/v1"),
    "its cookie among others, in any case":
        ({"cookie": "a=b; Knative-Serving-Tag=TAG; c=d"}, HOST, "/v1"),
    "its host": ({}, "TAG-iris-predictor.default.localhost", "/v1"),
    "its header under the path":
        ({"knative-serving-tag": "TAG"}, "localhost", "/serving/default/iris/v1"),
}  # fmt: skip
NO_WAYS = {
    "nothing": {},
    "an unknown tag": {"knative-serving-tag": "nothing"},
    "a cookie of another name": {"cookie": "xknative-serving-tag=latest"},
    "a longer tag": {"cookie": "knative-serving-tag=latestX"},
}


async def test_a_tag_is_reached_by(gateway: Gateway, versions: Any, subtests: Any) -> None:
    _, _, serve = versions
    await serve(TAGGED, share_of_old=100)
    for way, (headers, host, path) in WAYS.items():
        for tag, name in (("latest", "new"), ("prev", "old")):
            told = {key: value.replace("TAG", tag) for key, value in headers.items()}
            with subtests.test(f"{way}: {tag}"):
                found = await ask(gateway, 5, host.replace("TAG", tag), path, **told)
                assert found == Counter({name: 5})


async def test_by_the_shares_go(gateway: Gateway, versions: Any, subtests: Any) -> None:
    _, _, serve = versions
    await serve(TAGGED, share_of_old=100)
    for what, headers in NO_WAYS.items():
        with subtests.test(what):
            assert await ask(gateway, 5, **headers) == Counter({"old": 5})


async def test_without_tags_by_header_their_hosts_alone_lead_there(
    gateway: Gateway, versions: Any
) -> None:
    _, _, serve = versions
    await serve(Steering(tags=(replace(TAGGED.tags[0], by_header=False),)), share_of_old=100)
    tag = {"knative-serving-tag": "latest"}
    assert await ask(gateway, 5, **tag) == Counter({"old": 5})
    host = "latest-iris-predictor.default.localhost"
    assert await ask(gateway, 5, host) == Counter({"new": 5})


async def test_a_client_with_a_cookie_stays_with_its_share(gateway: Gateway, versions: Any) -> None:
    _, _, serve = versions
    await serve(Steering(sticky="cookie"))
    url = f"http://127.0.0.1:{gateway.settings.port}/v1"
    names = set()
    for _ in range(20):
        async with httpx.AsyncClient() as client:
            first = await client.get(url, headers={"host": HOST})
            value = first.cookies[STICKY_COOKIE]
            told = {"host": HOST, "cookie": f"{STICKY_COOKIE}={value}"}
            rest = {(await client.get(url, headers=told)).text for _ in range(4)}
        assert rest == {first.text}
        names.add(value)
    assert names == {"iris-predictor", "iris-predictor-00002"}


async def test_a_client_does_not_stay_with_what_has_no_share_any_more(
    gateway: Gateway, versions: Any
) -> None:
    _, _, serve = versions
    await serve(Steering(sticky="cookie"), share_of_old=100)
    told = {"cookie": f"{STICKY_COOKIE}=iris-predictor-00002"}
    assert await ask(gateway, 5, **told) == Counter({"old": 5})


async def test_a_client_is_known_by_a_header_of_its_own(gateway: Gateway, versions: Any) -> None:
    _, _, serve = versions
    await serve(Steering(sticky="x-user"))
    found = [await ask(gateway, 4, **{"x-user": f"user-{n}"}) for n in range(16)]
    assert all(len(one) == 1 for one in found)
    assert len({next(iter(one)) for one in found}) == 2


async def test_copies_reach_a_version_without_a_share_and_its_answers_nobody(
    gateway: Gateway, versions: Any
) -> None:
    _, new, serve = versions
    await serve(Steering(mirrors=(Mirror(0, 100),)), share_of_old=100)
    new.unready = True  # it answers 503
    assert await ask(gateway, 10) == Counter({"old": 10})
    for _ in range(200):
        if len(new.seen) == 10:
            break
        await asyncio.sleep(0.05)
    assert len(new.seen) == 10


def test_a_tag_s_host_is_a_claim_like_any_other() -> None:
    clusters = (Cluster(OLD, ()), Cluster(NEW, ()))
    first = make_route(TAGGED)
    other = TableRoute(
        "default/other", TAGGED.tags[0].hosts, "/serving/default/other", (Share(OLD),)
    )
    valid, refused = Validation().select(RouteTable((first, other), clusters))
    assert [route.name for route in valid.routes] == ["default/iris"]
    assert "already taken" in refused[0].message


async def test_a_component_has_tags_of_its_own(gateway: Gateway, versions: Any) -> None:
    old, new, _ = versions
    shares = (Share(NEW, 0), Share(OLD, 100))
    part = ComponentRoute(
        "predictor", ("iris-predictor.default.localhost",), shares, steering=TAGGED
    )
    route = TableRoute(
        "default/iris", (HOST,), "/serving/default/iris", (Share(OLD),), components=(part,)
    )
    clusters = (Cluster(OLD, (old.endpoint,), "/health"), Cluster(NEW, (new.endpoint,), "/health"))
    assert await gateway.apply(RouteTable((route,), clusters)) == ()
    assert await ask(gateway, 3, TAGGED.tags[0].hosts[0]) == Counter({"new": 3})
    assert await ask(gateway, 3, **{"knative-serving-tag": "latest"}) == Counter({"old": 3})
    told = {"knative-serving-tag": "latest"}
    assert await ask(gateway, 3, part.hosts[0], **told) == Counter({"new": 3})
