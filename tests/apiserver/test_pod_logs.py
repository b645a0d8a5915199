"""The log of a pod: which part of it is asked of the platform, and when it ends."""

from __future__ import annotations

import asyncio
import json

import pytest

LOG = "/api/v1/namespaces/default/pods/p/log"


@pytest.fixture(autouse=True)
def shown(platform, pod):
    platform.show(pod("p"))
    platform.logs["p"] = [b"one\n", b"two\n", b"three\n"]


async def read(reply):
    return b"".join([piece async for piece in reply.stream])


async def test_the_whole_log_is_plain_text(client):
    reply = await client.send("GET", LOG)
    assert reply.media_type == "text/plain"
    assert await read(reply) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ({"tailLines": 2}, "tail_lines", 2),
        ({"tailLines": 0}, "tail_lines", 0),
        ({"tailLines": -1}, "tail_lines", None),
        ({"limitBytes": 100}, "limit_bytes", 100),
        ({"timestamps": "true"}, "timestamps", True),
        ({"container": "kserve-container"}, "container", "kserve-container"),
        ({"sinceTime": "2026-01-31T12:00:00Z"}, "since", 1769860800.0),
    ],
)
async def test_every_option_reaches_the_platform(client, platform, query, field, value):
    await read(await client.send("GET", LOG, query=query))
    assert getattr(platform.asked[-1], field) == value


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"tailLines": "many"}, 'tailLines: Invalid value: "many"'),
        ({"sinceTime": "noon"}, 'sinceTime: Invalid value: "noon"'),
        ({"sinceTime": "2026-01-31T12:00:00Z", "sinceSeconds": "1"}, "at most one of"),
        ({"container": "sidecar"}, 'it has "kserve-container"'),
        ({"stream": "Stderr"}, "both streams in one"),
        ({"follow": "maybe"}, 'follow: Invalid value: "maybe"'),
    ],
)
async def test_a_bad_option_is_named(client, query, text):
    reply = await client.send("GET", LOG, query=query)
    assert reply.code == 400
    assert text in json.loads(reply.body)["message"]


@pytest.mark.parametrize("follow", ["true", "false"])
async def test_a_log_that_the_platform_refuses_is_a_status(client, follow):
    query = {"follow": follow, "previous": "true"}
    reply = await client.send("GET", LOG.replace("/p/", "/never/"), query=query)
    assert reply.code == 404
    reply = await client.send("GET", LOG, query={**query, "tailLines": 99})
    assert reply.code == 400
    assert "has no previous log" in json.loads(reply.body)["message"]


async def test_a_followed_log_goes_on_until_the_server_stops(client, server, platform):
    reply = await client.send("GET", LOG, query={"follow": "true", "tailLines": 1})
    assert await anext(reply.stream) == b"three\n"
    platform.logs["p"].append(b"four\n")
    assert await asyncio.wait_for(anext(reply.stream), 2) == b"four\n"
    server.stop()
    assert await asyncio.wait_for(read(reply), 2) == b""
