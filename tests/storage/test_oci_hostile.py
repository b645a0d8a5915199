"""Images whose makers mean harm: nothing is written or removed outside of their folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.storage.registry_server import TAR, RegistryServer, make_layer

from sampan.storage.base import StorageError

TITLE = "org.opencontainers.image.title"
UNPACK = {"io.deis.oras.content.unpack": "true"}


@pytest.fixture
async def registry(bench) -> AsyncIterator[RegistryServer]:
    served = RegistryServer()
    await served.start()
    bench.set(allowed_private_hosts=("127.0.0.1", "localhost"))
    yield served
    await served.stop()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that no image has to do with, and a file of its owner in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "mine").write_bytes(b"mine")
    return folder


def file(title: str, data: bytes = b"x") -> dict[str, object]:
    return {"data": data, "mediaType": "text/plain", "annotations": {TITLE: title}}


def folder(title: str, *members: tuple[str, object]) -> dict[str, object]:
    packed = make_layer(*members)
    return {"data": packed, "mediaType": TAR, "annotations": {TITLE: title, **UNPACK}}


def image(registry: RegistryServer) -> str:
    return f"oci://{registry.host}/team/model:v1"


async def refused(bench, registry: RegistryServer) -> StorageError:
    with pytest.raises(StorageError) as caught:
        await bench.fetch(image(registry))
    return caught.value


async def test_every_title_of_one_files_many_is_looked_at(registry, bench, outside):
    registry.put(file(f"{outside}/mine"), file("good"))
    assert (await refused(bench, registry)).reason == "SourceRefused"
    assert (outside / "mine").read_bytes() == b"mine"


async def test_one_file_may_have_many_names(registry, bench):
    registry.put(file("a"), file("b/c"))
    path = (await bench.fetch(image(registry))).path
    assert {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} == {"a", "b/c"}


async def test_a_file_is_not_written_through_a_link_of_a_folder(registry, bench, outside):
    registry.put(folder("tree", ("d", f"-> {outside}"), ("m", b"m")), file("d/mine", b"theirs"))
    path = (await bench.fetch(image(registry))).path
    assert (path / "d" / "mine").read_bytes() == b"theirs"
    assert (outside / "mine").read_bytes() == b"mine"


async def test_a_file_takes_the_place_of_a_folder(registry, bench):
    registry.put(folder("tree", ("d/x", b"x"), ("m", b"m")), file("d", b"file"))
    path = (await bench.fetch(image(registry))).path
    assert (path / "d").read_bytes() == b"file"


@pytest.mark.parametrize("name", [".wh..", ".wh...", ".wh."])
async def test_marks_that_take_away_no_name_are_refused(registry, bench, name):
    registry.put(make_layer(("models/m", b"m"), (f"models/d/{name}", b""), (f"models/{name}", b"")))
    assert (await refused(bench, registry)).reason == "ArchiveUnsafe"
    assert bench.published == []


async def test_a_title_of_endless_folders_takes_no_time(registry, bench):
    registry.put(file("a/" * 1_000_000 + "b"))
    async with asyncio.timeout(60):
        assert (await refused(bench, registry)).reason == "SourceRefused"


@pytest.mark.parametrize("realm", ["http://[::1", "https://x:99999999/t", "http://x:y/t"])
async def test_where_nobody_can_log_in_is_told(registry, bench, realm):
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    registry.act = lambda _: (401, challenge, b"")
    assert (await refused(bench, registry)).reason == "SourceRefused"


@pytest.mark.parametrize("helpers", [["HOST"], "HOST", 3])
async def test_helpers_that_are_no_object_are_none(registry, bench, helpers):
    text = json.dumps({"auths": {}, "credHelpers": helpers}).replace("HOST", registry.host)
    bench.set(files={"/mnt/oci-fetch-auth/config.json": text})
    registry.user = "me:secret"
    assert (await refused(bench, registry)).reason == "AuthenticationFailed"
