"""httpx, over HTTP/1.1 and HTTP/2, one connection for many requests."""

from __future__ import annotations

import asyncio

import httpx
import pytest

ROWS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "h2c"])
async def test_many_requests_at_once_get_their_own_answers(served, http2):
    async with httpx.AsyncClient(base_url=served.url, http1=not http2, http2=http2) as client:

        async def ask(number: int) -> list[int]:
            body = {"instances": [number] * (number + 1)}
            answer = await client.post("/v1/models/echo:predict", json=body)
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            return answer.json()["predictions"]

        answers = await asyncio.gather(*(ask(number) for number in range(40)))
    assert answers == [[number] * (number + 1) for number in range(40)]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "h2c"])
def test_a_body_may_come_in_pieces(served, http2):
    pieces = (b'{"instances": [', b"1, " * 1000, b"1]}")
    with httpx.Client(base_url=served.url, http1=not http2, http2=http2) as client:
        answer = client.post("/v1/models/echo:predict", content=iter(pieces))
        assert answer.json() == {"predictions": [1] * 1001}
        assert client.head("/v2").status_code == 200
        assert client.get("/v2/models/sklearn-iris").json()["name"] == "sklearn-iris"
