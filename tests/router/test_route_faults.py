"""Steps that misbehave, at each type of node: the error names node, step, URL, status and cause."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.router.conftest import Serve, Town
from tests.router.graph_cases import FAILED, IRIS, OK, ask, enter, node
from tests.router.test_graph_semantics import decode
from tests.router.test_route_http import closed_port

from sampan.wire.upstream_answer import UpstreamLimits

TYPES = ["Sequence", "Switch", "Ensemble", "Splitter"]
LIMITS = UpstreamLimits(header_bytes=4096, body_bytes=20_000, connect_seconds=5.0)


def answer_with(*pieces: bytes, close: bool = True) -> Serve:
    """Answer each request with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if not close:
            await reader.read()

    return serve


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await reader.read()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without an end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer so slowly that it never ends."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection instead of answering."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


HEAD = b"HTTP/1.1 200 OK\r\n"

FAULTS: dict[str, tuple[Serve, str]] = {
    "closes instead of answering": (answer_with(), "closed the connection before it answered"),
    "resets instead of answering": (reset, "closed the connection before it answered"),
    "closes within the head": (answer_with(HEAD), "closed the connection in the middle"),
    "closes midway through its body": (
        answer_with(HEAD + b"content-length: 10\r\n\r\n{"),
        "closed the connection in the middle of its answer",
    ),
    "closes within a chunk": (
        answer_with(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{"),
        "closed the connection in the middle of its answer",
    ),
    "answers without an end": (endless, "answered more than 20000 bytes; let it answer less"),
    "says that it answers too much": (
        answer_with(HEAD + b"content-length: 20001\r\n\r\n" + b"x" * 20_001),
        "answered more than 20000 bytes",
    ),
    "sends headers without an end": (
        answer_with(HEAD, *[b"x-%d: y\r\n" % i for i in range(1000)], close=False),
        "sent more than 4096 bytes of headers",
    ),
    "does not speak HTTP": (answer_with(b"SSH-2.0-OpenSSH\r\n"), "did not answer in HTTP"),
    "answers with two lengths": (
        answer_with(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        "did not answer in HTTP",
    ),
    "answers with a length and chunks": (
        answer_with(HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        "did not answer in HTTP",
    ),
    "switches protocols": (
        answer_with(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
        ),
        "switched protocols, unasked",
    ),
    "answers in an encoding that nobody asked for": (
        answer_with(HEAD + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n\x01\x02"),
        'answered in content-encoding "br", unasked',
    ),
    "takes the request and never answers": (hang, "did not answer within 0.3 seconds"),
    "answers a byte at a time": (drip, "did not answer within 0.3 seconds"),
}


def around(url: str) -> dict[str, dict[str, Any]]:
    """A graph of each type whose root comes to the faulty step."""
    bad = {"serviceUrl": url, "name": "bad"}
    return {
        "Sequence": node("Sequence", ask("good"), bad, ask("good")),
        "Switch": node("Switch", {**bad, "condition": "instances"}),
        "Ensemble": node("Ensemble", ask("good"), bad),
        "Splitter": node("Splitter", {**bad, "weight": 100}),
    }


@pytest.mark.parametrize("router_type", TYPES)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_step_that(
    town: Town, client: httpx.AsyncClient, fault: str, router_type: str
) -> None:
    serve, cause = FAULTS[fault]
    town.limits = LIMITS
    town.services.answers = {"good": (200, OK)}
    bad = await town.peer(serve)
    graph = {"root": around(bad)[router_type]}
    seconds = 0.3 if "within" in cause else 20
    url = await town.graph(graph, routerTimeouts={"serviceClient": seconds})
    answer = await client.post(url, json=IRIS)
    told = answer.json()
    assert answer.status_code == 500
    assert told.pop("cause").startswith(f'step "bad" of node "root": "{bad}" {cause}')
    assert told == {"error": FAILED, "node": "root", "step": "bad", "url": bad}
    expected = {"Sequence": 1, "Ensemble": 1}.get(router_type, 0)
    assert len(town.services.asked) == expected


ANSWERS: dict[str, tuple[int, Any]] = {
    "refuses the request": (400, {"error": "no"}),
    "is not there any more": (404, {"detail": "Not Found"}),
    "breaks": (500, {"error": "broken"}),
    "is busy": (503, {"error": "busy"}),
    "answers no JSON": (200, b"<html>"),
    "answers nothing": (200, b""),
    "answers an array": (200, [1, 2]),
    "answers a number": (200, 7),
    "breaks without JSON": (502, b"Bad Gateway"),
}


@pytest.mark.parametrize("fused", [False, True], ids=["over HTTP", "fused"])
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("router_type", TYPES)
@pytest.mark.parametrize("fault", ANSWERS)
async def test_a_step_that_as_an_answer(
    town: Town, client: httpx.AsyncClient, fault: str, router_type: str, hard: bool, fused: bool
) -> None:
    town.fused = fused
    status, body = ANSWERS[fault]
    town.services.answers = {"good": (200, OK), "bad": (status, body)}
    graph = around("svc://bad")[router_type]
    for step in graph["steps"]:
        if step.get("name") == "bad" and hard:
            step["dependency"] = "Hard"
    answer = await client.post(await town.graph({"root": graph}), json=IRIS)
    told = decode(answer.content)
    failed = status >= 300
    if router_type == "Ensemble":
        if not isinstance(body, dict):
            assert answer.status_code == 500
            assert (told["node"], told["step"], told["status"]) == ("root", "bad", status)
            assert "an Ensemble merges objects" in told["cause"]
        elif hard and failed:
            assert (answer.status_code, told) == (status, body)
        else:
            assert (answer.status_code, told) == (200, {"0": OK, "bad": body})
    elif router_type == "Sequence" and not (hard and failed):
        assert (answer.status_code, told) == (200, OK)
        assert len(town.services.asked) == 3
    else:
        assert (answer.status_code, told) == (status, body)


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("router_type", TYPES)
async def test_a_step_that_is_down(
    town: Town, client: httpx.AsyncClient, router_type: str, hard: bool
) -> None:
    town.services.answers = {"good": (200, OK)}
    bad = f"http://127.0.0.1:{closed_port()}/"
    graph = around(bad)[router_type]
    for step in graph["steps"]:
        if step.get("name") == "bad" and hard:
            step["dependency"] = "Hard"
    answer = await client.post(await town.graph({"root": graph}), json=IRIS)
    told = answer.json()
    assert answer.status_code == 500
    assert "takes no connection" in told.pop("cause")
    assert told == {"error": FAILED, "node": "root", "step": "bad", "url": bad}


async def test_a_fault_below_the_root_names_its_own_node(
    town: Town, client: httpx.AsyncClient
) -> None:
    bad = await town.peer(answer_with())
    nodes = {"root": node("Sequence", enter("inner")),
             "inner": node("Ensemble", {"serviceUrl": bad})}  # fmt: skip
    told = (await client.post(await town.graph(nodes), json=IRIS)).json()
    assert (told["node"], told["step"], told["url"]) == ("inner", "0", bad)


async def test_an_answer_without_a_length_ends_with_its_connection(
    town: Town, client: httpx.AsyncClient
) -> None:
    peer = await town.peer(answer_with(b'HTTP/1.0 200 OK\r\n\r\n{"a"', b":1}"))
    answer = await client.post(await town.graph({"root": node("Sequence", {"serviceUrl": peer})}))
    assert (answer.status_code, answer.json()) == (200, {"a": 1})


async def test_an_interim_answer_is_passed_over(town: Town, client: httpx.AsyncClient) -> None:
    peer = await town.peer(
        answer_with(
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", HEAD + b"content-length: 2\r\n\r\n{}"
        )
    )
    answer = await client.post(await town.graph({"root": node("Sequence", {"serviceUrl": peer})}))
    assert answer.json() == {}


async def test_what_follows_an_answer_unasked_is_never_the_next_one(
    town: Town, client: httpx.AsyncClient
) -> None:
    good = HEAD + b"content-length: 7\r\n\r\n"
    peer = await town.peer(answer_with(good + b'{"a":1}' + good + b'{"a":2}', close=False))
    url = await town.graph({"root": node("Sequence", {"serviceUrl": peer})})
    for _ in range(3):
        assert (await client.post(url)).json() == {"a": 1}


async def test_a_connection_that_its_server_closed_meanwhile_is_not_used_again(
    town: Town, client: httpx.AsyncClient
) -> None:
    peer = await town.peer(answer_with(HEAD + b"content-length: 2\r\n\r\n{}"))
    url = await town.graph({"root": node("Sequence", {"serviceUrl": peer})})
    for _ in range(5):
        assert (await client.post(url)).status_code == 200
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("router_type", TYPES)
async def test_a_client_that_leaves_calls_its_steps_off(town: Town, router_type: str) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        try:
            await reader.read()
        finally:
            left.set()

    town.services.answers = {"good": (200, OK)}
    url = await town.graph({"root": around(await town.peer(watch))[router_type]})
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = b'{"instances":[1]}'
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    await asyncio.wait_for(asked.wait(), 20)
    writer.close()
    await asyncio.wait_for(left.wait(), 20)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "\u2603" * 64])
def test_a_host_that_no_resolver_takes_is_refused_at_the_start(host: str) -> None:
    from sampan.machinery.web_address import InvalidAddress, parse_address

    with pytest.raises(InvalidAddress, match=f'^"{host}" is no host name .*; correct it$'):
        parse_address(f"http://{host}/v1/models/iris:predict")


@pytest.mark.parametrize(
    "host", ["169.254.1.1", "[fe80::1]", "0.0.0.0", "[::ffff:169.254.169.254]"]
)
def test_addresses_that_are_never_called_are_refused_at_the_start(host: str) -> None:
    from sampan.machinery.web_address import InvalidAddress, parse_address

    with pytest.raises(InvalidAddress, match="which is never called"):
        parse_address(f"http://{host}/")


async def test_a_name_that_leads_to_such_an_address_is_not_called(
    town: Town, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("169.254.169.254", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    url = await town.graph({"root": node("Sequence", {"serviceUrl": "http://innocent.test/"})})
    answer = await client.post(url)
    assert answer.status_code == 500
    assert '"169.254.169.254" is a metadata address' in answer.json()["cause"]
