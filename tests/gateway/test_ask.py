"""Asking over HTTP: an answer is whole, or it is an error of the connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sampan.gateway.ask import Address, Answer, ask


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"{}", id="of a length that is there"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"{}",
            id="in chunks that end",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nserver: envoy\r\n\r\n{}", b"{}", id="that ends with its connection"
        ),
    ],
)
async def test_an_answer_that_is_whole_is_taken(tmp_path: Path, answer: bytes, body: bytes) -> None:
    told = await _ask_who_says(tmp_path, answer)
    assert (told.status, bytes(told.body)) == (200, body)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        pytest.param(b"", "before", id="nothing at all"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
            "in the middle of",
            id="less than its length",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "in the middle of",
            id="chunks without the last one",
        ),
    ],
)
async def test_an_answer_that_breaks_off_is_an_error_of_the_connection(
    tmp_path: Path, answer: bytes, where: str
) -> None:
    with pytest.raises(ConnectionResetError, match=f"^the connection ended {where} an answer$"):
        await _ask_who_says(tmp_path, answer)


async def _ask_who_says(folder: Path, answer: bytes) -> Answer:
    """Ask a server that takes a request, says this and hangs up: an Envoy that is killed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    path = folder / "admin.sock"
    server = await asyncio.start_unix_server(serve, path)
    async with server:
        return await ask(Address(socket=path), "/clusters", "admin", 20.0)
