"""Object stores that mean harm: whoever writes a Secret's endpoint chooses what answers there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.storage.conftest import Bench
from tests.storage.s3_server import S3, Asked, send

from sampan.storage.base import StorageError
from sampan.storage.objects.answers import parse_xml
from sampan.storage.objects.selection import StoredObject, select_files

XML = {"Content-Type": "application/xml"}


@pytest.fixture
async def s3(bench: Bench) -> AsyncIterator[S3]:
    served = S3({"iris/model": b"weights"})
    await served.start()
    bench.set(environment=served.environment)
    yield served
    served.stop()


async def refused(bench: Bench, uri: str = "s3://models/iris") -> StorageError:
    with pytest.raises(StorageError) as caught:
        await bench.fetch(uri)
    return caught.value


def page(contents: str, mark: str = "") -> bytes:
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{mark}</NextContinuationToken>"
    return f"<ListBucketResult>{more if mark else ''}{contents}</ListBucketResult>".encode()


async def test_an_object_that_is_longer_than_listed_is_cut_off(s3: S3, bench: Bench):
    sent = 0

    async def endless(_: S3, __: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 200 * 1024**2:
            writer.write(b"100000\r\n" + bytes(1024**2) + b"\r\n")
            sent += 1024**2
            await writer.drain()

    s3.acts = [endless]
    bench.set(attempts=1)
    assert (await refused(bench)).reason == "DownloadTruncated"
    assert sent < 100 * 1024**2


@pytest.mark.parametrize("mark", ["same", ""])
async def test_a_listing_without_end_is_ended(s3: S3, bench: Bench, mark: str):
    asked = 0

    async def list_marks(_: S3, __: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        s3.list_acts.append(list_marks)
        folders = "".join(f"<Contents><Key>iris/{i}/</Key></Contents>" for i in range(100))
        send(writer, 200, XML, page(folders, mark or str(asked)))

    s3.list_acts = [list_marks]
    bench.set(max_files=20)
    error = await refused(bench, "s3://models/iris/")
    assert error.reason in {"UnexpectedContent", "DownloadTooLarge"}
    assert asked < 100


@pytest.mark.parametrize("size", ["-5", "9" * 5000, "1e9"])
async def test_sizes_that_no_object_has_are_refused(s3: S3, bench: Bench, size: str):
    async def lie(_: S3, __: Asked, writer: asyncio.StreamWriter) -> None:
        key = f"<Contents><Key>iris</Key><Size>{size}</Size></Contents>"
        send(writer, 200, XML, page(key))

    s3.list_acts = [lie]
    assert (await refused(bench)).reason == "UnexpectedContent"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_every_encoding(encoding: str):
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    with pytest.raises(ValueError, match=r"document type|encoded"):
        parse_xml(text.encode(encoding))


def test_names_of_endless_folders_take_no_time():
    with pytest.raises(StorageError) as caught:
        select_files([StoredObject("a/" * 1_000_000 + "b", 1, "1")], "", "s3://b")
    assert caught.value.reason == "SourceRefused"
    assert len(caught.value.message) < 1000
