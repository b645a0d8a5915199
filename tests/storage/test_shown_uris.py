"""URIs in errors: keys that people write into them are not repeated."""

from __future__ import annotations

import pytest

from sampan.machinery.clock import SystemClock
from sampan.storage.base import StorageError
from sampan.storage.objects.place import parse_place
from sampan.storage.s3 import make_settings
from sampan.storage.s3_store import S3Store


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKID:s3cret@bucket/model",
        "s3://AKID:s3/s3cret@bucket/model",
        "gs://me:s3cret@bucket/model",
        "hf://me:s3cret@owner/model",
        "hf://s3cret@owner/model",
    ],
)
async def test_what_stands_before_an_at_is_not_shown(bench, uri):
    with pytest.raises(StorageError) as caught:
        await bench.fetch(uri)
    assert (caught.value.reason, "s3cret" in caught.value.message) == ("InvalidURI", False)


def test_buckets_of_amazons_other_partitions_are_others():
    place = parse_place("s3://models/iris", "s3")

    async def none() -> None:
        return None

    regions = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1")
    endpoints = [make_settings({"AWS_REGION": region}, "models").endpoint for region in regions]
    stores = [S3Store(place, endpoint, (none, True), SystemClock(), 1) for endpoint in endpoints]
    assert len({store.identity for store in stores}) == 3
