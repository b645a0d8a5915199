"""A replica says that it is up, and is looked at at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.machinery.clock import SystemClock
from sampan.platforms.local.ready_word import SOCKET, VARIABLE, can_hear, hear

TELL = "from sampan.app.ready_word import tell_ready; tell_ready()"


@pytest.fixture
def folder() -> Iterator[Path]:
    # A short name: the path of a socket may have 103 bytes.
    with tempfile.TemporaryDirectory(prefix="sampan-") as name:
        yield Path(name)


def tell(address: object) -> None:
    subprocess.run([sys.executable, "-c", TELL], env={VARIABLE: str(address)}, check=True)


async def test_the_word_of_a_server_is_heard(folder: Path) -> None:
    with hear(folder, SystemClock()) as said:
        assert said is not None
        assert not said.is_set()
        before = time.time()
        await asyncio.to_thread(tell, folder / SOCKET)
        async with asyncio.timeout(20):
            await said.wait()
        first = said.first_at
        assert before <= first <= time.time()
        said.clear()
        await asyncio.to_thread(tell, folder / SOCKET)
        async with asyncio.timeout(20):
            await said.wait()
        assert said.first_at == first


async def test_other_words_of_the_protocol_are_passed_over(folder: Path) -> None:
    import socket

    with (
        hear(folder, SystemClock()) as said,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        assert said is not None
        sock.sendto(b"STATUS=loading", str(folder / SOCKET))
        await asyncio.sleep(0.05)
        assert not said.is_set()
        sock.sendto(b"STATUS=up\nREADY=1", str(folder / SOCKET))
        async with asyncio.timeout(20):
            await said.wait()


async def test_the_socket_is_the_users_own_and_goes_with_the_run(folder: Path) -> None:
    with hear(folder, SystemClock()):
        assert (folder / SOCKET).stat().st_mode & 0o777 == 0o600
    assert not (folder / SOCKET).exists()


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens-here"])
def test_a_server_that_nobody_listens_to_goes_on(address: str) -> None:
    tell(address)


async def test_a_path_that_is_too_long_for_a_socket_leaves_probing_alone(folder: Path) -> None:
    deep = folder / ("d" * 120)
    deep.mkdir()
    assert not can_hear(deep)
    with hear(deep, SystemClock()) as said:
        assert said is None
