"""The variables of a store's settings, as KServe's storage initializer reads them. Pure.

`STORAGE_CONFIG` and `STORAGE_OVERRIDE_CONFIG` hold an entry of a storage Secret and what a service
changes of it, as JSON; of the type `s3` they become variables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.job import Job

_S3 = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_DEFAULT_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
    "verify_ssl": "S3_VERIFY_SSL",
    "anonymous": "awsAnonymousCredential",
}
_CONFIGS = ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG")
_FALSE = frozenset({"0", "false", "no", "off"})


def read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with what a storage entry says of S3; raise StorageError."""
    entry: dict[str, object] = {}
    for name in _CONFIGS:
        entry |= _parse(name, environment.get(name, ""))
    found = dict(environment)
    if entry.get("type") == "s3":
        found |= {_S3[key]: _text(value) for key, value in entry.items() if key in _S3}
    return found


def is_true(text: str) -> bool:
    """Tell whether a variable is set and not one of the ways to say no."""
    return bool(text) and text.strip().lower() not in _FALSE


def read_number(environment: Mapping[str, str], name: str, least: float = 1.0) -> float | None:
    """Return a variable's number, None where it is not set; raise StorageError."""
    text = environment.get(name, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number < float("inf"):
        raise make_settings_error(
            f'the variable {name} is "{text}"; write a number that is not below {least:g}'
        )
    return number


def with_timeouts(job: Job, environment: Mapping[str, str], names: tuple[str, str, str]) -> Job:
    """Return the job with the connect, read and attempts settings of a store's variables."""
    connect, read, attempts = (read_number(environment, name) for name in names)
    options: FetchOptions = job.options
    options = replace(
        options,
        connect_seconds=connect or options.connect_seconds,
        stall_seconds=read or options.stall_seconds,
        attempts=int(attempts or options.attempts),
    )
    return replace(job, options=options)


def make_settings_error(message: str) -> StorageError:
    """Return the error of settings that no request can be made of."""
    return StorageError("InvalidStorageSettings", message)


def _parse(name: str, text: str) -> dict[str, object]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        # Of what is no JSON nothing is repeated: it may hold keys.
        at = getattr(error, "colno", 0)
        raise make_settings_error(
            f"{name} is no JSON (at letter {at}); write an object into the storage Secret's entry"
        ) from None
    if not isinstance(found, dict):
        raise make_settings_error(
            f"{name} is JSON and no object; write an object in the entry of the storage Secret"
        )
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
