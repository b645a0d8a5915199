"""`gs://bucket/path`: objects of Google Cloud Storage.

KServe, storage initializer: the credentials are a file that `GOOGLE_APPLICATION_CREDENTIALS` names,
else those of the machine (Workload Identity), else none. `STORAGE_EMULATOR_HOST` names another
server, as with Google's own clients.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sampan.storage.base import Fetched
from sampan.storage.gcs_credentials import make_token_source
from sampan.storage.gcs_store import GcsStore
from sampan.storage.job import Job
from sampan.storage.objects.environment import make_settings_error, read_environment
from sampan.storage.objects.fetching import fetch_objects
from sampan.storage.objects.place import parse_place

_GOOGLE = "https://storage.googleapis.com"


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder of a bucket's model; raise StorageError, OSError."""
    place = parse_place(uri, "gs")
    variables = read_environment(job.options.environment)
    endpoint = make_endpoint(variables.get("STORAGE_EMULATOR_HOST", ""))
    tokens = await make_token_source(variables, job)
    return await fetch_objects(GcsStore(place, endpoint, tokens), job)


def make_endpoint(given: str) -> str:
    """Return the URL of the server; raise StorageError. Pure."""
    if not given:
        return _GOOGLE
    url = (given if "://" in given else f"http://{given}").rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(c) < 33 for c in url):
        raise make_settings_error(
            f'STORAGE_EMULATOR_HOST is "{given}"; write host:port, or http://host:port'
        )
    return url
