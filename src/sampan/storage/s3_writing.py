"""Writing objects to S3: PutObject, with the settings and the keys that reading has.

AWS, Amazon S3 API: an object is there whole or not at all, and replaces one of its name.
"""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import quote

from sampan.storage.job import Job
from sampan.storage.objects.answers import make_refusal
from sampan.storage.objects.channel import Ask, Channel
from sampan.storage.objects.environment import read_environment, with_timeouts
from sampan.storage.objects.store import Place
from sampan.storage.s3 import TIMEOUTS, make_settings, make_trust
from sampan.storage.s3_credentials import make_key_source
from sampan.storage.s3_signing import Unsigned, sign_request
from sampan.storage.s3_store import WORDS, KeySource, S3Endpoint

_OK = 200


class S3Writer:
    """Writes into one bucket."""

    def __init__(
        self, channel: Channel, place: Place, endpoint: S3Endpoint, keys: tuple[KeySource, bool]
    ) -> None:
        self._channel = channel
        self._place = place
        self._endpoint = endpoint
        self._keys, self._anonymous = keys

    async def put(self, name: str, content: bytes) -> None:
        """Write an object; raise StorageError."""
        url = f"{self._endpoint.bucket_url(self._place.bucket)}/{quote(name, safe='/-_.~')}"
        unsigned = Unsigned(url, "PUT", hashlib.sha256(content).hexdigest())
        keys, now = await self._keys(), self._channel.job.world.clock.now()
        signed = sign_request(unsigned, keys, self._endpoint.region, now) if keys else {}
        headers = {"Content-Length": str(len(content)), **signed}
        reply = await self._channel.read(Ask(url, headers, "PUT", content))
        if reply.status != _OK:
            about = (f"s3://{self._place.bucket}/{name}", self._place.bucket)
            answer = (reply.status, reply.headers, reply.body)
            raise make_refusal(WORDS, about, answer, anonymous=self._anonymous)


async def open_writer(place: Place, job: Job) -> S3Writer:
    """Return what writes to a place's bucket; raise StorageError for settings that cannot be."""
    variables = read_environment(job.options.environment)
    settings = make_settings(variables, place.bucket)
    job = with_timeouts(job, variables, TIMEOUTS)
    keys = await make_key_source(variables, settings.endpoint.region, job)
    trust = await asyncio.to_thread(make_trust, settings, job.options)
    return S3Writer(Channel(job, place.shown, trust), place, settings.endpoint, keys)
