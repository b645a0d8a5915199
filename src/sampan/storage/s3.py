"""`s3://bucket/path`: objects of Amazon S3, or of any server that speaks its protocol.

KServe, storage initializer: settings are the variables that its webhook makes of a Secret and its
annotations (`make_settings`). An endpoint's address is checked like any other: who may write a
Secret does not choose where in the network the fetcher goes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sampan.storage.base import Fetched, FetchOptions
from sampan.storage.job import Job
from sampan.storage.network import tls_context
from sampan.storage.objects.environment import (
    is_true,
    make_settings_error,
    read_environment,
    read_number,
    with_timeouts,
)
from sampan.storage.objects.fetching import fetch_objects
from sampan.storage.objects.place import parse_place
from sampan.storage.s3_credentials import make_key_source
from sampan.storage.s3_store import S3Endpoint, S3Store

TIMEOUTS = ("S3_CONNECT_TIMEOUT", "S3_READ_TIMEOUT", "S3_MAX_ATTEMPTS")
_CONCURRENCY = 4
_UNVERIFIED = (
    "the certificate of S3's endpoint is not verified (S3_VERIFY_SSL): anybody on the way "
)
_LEGACY = "https://s3.amazonaws.com"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How a bucket is reached. `concurrency`: objects at once; `ca` is the path of a bundle."""

    endpoint: S3Endpoint
    verify: bool
    ca: str
    concurrency: int


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder of a bucket's model; raise StorageError, OSError."""
    place = parse_place(uri, "s3")
    variables = read_environment(job.options.environment)
    settings = make_settings(variables, place.bucket)
    job = with_timeouts(job, variables, TIMEOUTS)
    keys = await make_key_source(variables, settings.endpoint.region, job)
    trust = await asyncio.to_thread(make_trust, settings, job.options)
    note = "" if settings.verify else f"{_UNVERIFIED}could change the model"
    store = S3Store(place, settings.endpoint, keys, job.world.clock, settings.concurrency, note)
    return await fetch_objects(store, job, trust)


def make_settings(variables: Mapping[str, str], bucket: str) -> S3Settings:
    """Return the settings that a pod's variables tell of; raise StorageError. Pure.

    Buckets are parts of the host's name at Amazon, and of the path at every endpoint that is given,
    unless `S3_USER_VIRTUAL_BUCKET` (KServe's spelling) says otherwise: botocore's rule.
    """
    region = variables.get("AWS_DEFAULT_REGION") or variables.get("AWS_REGION") or "us-east-1"
    if not region.replace("-", "").isalnum() or not region.isascii():
        raise make_settings_error(
            f'the region of S3 is "{region}"; write one such as "eu-central-1"'
        )
    given = variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or ""
    given = given.rstrip("/")
    moved = given == _LEGACY and region != "us-east-1"
    virtual = is_true(variables.get("S3_USER_VIRTUAL_BUCKET", "")) or moved
    if is_true(variables.get("S3_USE_ACCELERATE", "")):
        given, virtual = "https://s3-accelerate.amazonaws.com", True
    if given:
        _require_url(given)
    # A certificate covers one label before Amazon's name: buckets with dots stay in the path.
    named = not given and "." not in bucket and bucket == bucket.lower() and "_" not in bucket
    return S3Settings(
        endpoint=S3Endpoint(given, region, virtual=virtual or named),
        verify=_verifies(variables),
        ca=variables.get("AWS_CA_BUNDLE", ""),
        concurrency=int(read_number(variables, "S3_MAX_FILE_CONCURRENCY") or _CONCURRENCY),
    )


def make_trust(settings: S3Settings, options: FetchOptions) -> ssl.SSLContext | None:
    """Return whom the endpoint must prove to be; None for whom this machine trusts."""
    if not settings.verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if not settings.ca:
        return None
    try:
        text = options.files.get(settings.ca) or Path(settings.ca).read_text()
        context = ssl.create_default_context(cafile=ssl.get_default_verify_paths().cafile)
        context.load_verify_locations(cadata=text)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = error.strerror if isinstance(error, OSError) else ""
        raise make_settings_error(
            f'the CA bundle "{settings.ca}" of S3 cannot be read ({why or "no certificate in it"});'
            " mount a file of PEM certificates there, or correct AWS_CA_BUNDLE"
        ) from None
    return context if text else tls_context()


def _verifies(variables: Mapping[str, str]) -> bool:
    text = variables.get("S3_VERIFY_SSL", "")
    return not text or is_true(text)


def _require_url(given: str) -> None:
    try:
        parts = urlsplit(given)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or any(ord(c) < 33 for c in given):
        raise make_settings_error(
            f'the endpoint of S3 is "{given.rpartition("@")[2]}"; write http://host:port or '
            "https://host:port, with the keys in variables of their own"
        )
