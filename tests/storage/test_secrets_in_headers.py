"""What cannot be sent as a header is told by its name: its value is most likely a secret."""

from __future__ import annotations

import pytest
from tests.storage.conftest import Bench, Origin

from sampan.storage.base import StorageError

BAD = ["Bearer s3cret\n", "Bearer s3\ncret", "Bearer s3cret\0", "Bearer s3cret…", " Bearer s3cret"]


async def refused(bench: Bench, uri: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        await bench.fetch(uri)
    return caught.value


@pytest.mark.parametrize("value", BAD)
async def test_a_value_that_no_header_has_is_never_shown(origin: Origin, bench: Bench, value):
    bench.set(host_headers={"127.0.0.1": {"Authorization": value}})
    error = await refused(bench, f"{origin.root}/model.bin")
    assert (error.reason, '"Authorization"' in error.message) == ("InvalidRequest", True)
    assert "s3" not in error.message
    assert origin.seen == []


async def test_a_name_that_no_header_has_is_refused(origin: Origin, bench: Bench):
    bench.set(host_headers={"127.0.0.1": {"X-A: b\r\nX-B": "s3cret"}})
    assert (await refused(bench, f"{origin.root}/model.bin")).reason == "InvalidRequest"
    assert origin.seen == []


@pytest.mark.parametrize("token", ["s3\ncret", "s3cret…"])
async def test_tokens_of_stores_and_registries_are_not_shown(bench: Bench, tmp_path, token):
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_SESSION_TOKEN": token,
        "AZURE_ACCESS_TOKEN": token,
        "AZURE_SERVICE_URL": "http://127.0.0.1:9/a",
    }
    bench.set(environment=environment)
    for uri in ("s3://bucket/model", "https://a.blob.core.windows.net/bucket/model"):
        error = await refused(bench, uri)
        assert (error.reason, "cret" in error.message) == ("InvalidRequest", False)
