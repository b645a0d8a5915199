"""What a Secret gives to the container that fetches a model, by the kind that its keys tell of.

KServe, credentials: the first matching key decides. Values stay in the Secret: variables refer to
its keys, so that no pod shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.containers import from_secret, merge_env, variable
from sampan.platforms.kubernetes.pods.s3_settings import decoded, make_s3_settings
from sampan.platforms.kubernetes.pods.settings import CredentialSettings

GCS_VOLUME, GCS_PATH = "user-gcp-sa", "/var/secrets/"
HDFS_VOLUME, HDFS_PATH = "hdfs-secrets", "/var/secrets/kserve-hdfscreds"

_AZURE = (
    "AZURE_SUBSCRIPTION_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_ACCESS_TOKEN",
    "AZURE_ACCESS_EXPIRES_ON_SECONDS",
    "AZURE_ACCOUNT_NAME",
    "AZURE_SERVICE_URL",
)
_RENAMED = 4
"""So many of them, the first, had names that began with `AZ_`."""
_AZURE_MARKS = ("AZ_CLIENT_ID", "AZURE_CLIENT_ID", "AZURE_ACCESS_TOKEN")
_SINGLE = ("AZURE_STORAGE_ACCESS_KEY",)
_TOKENS = ("HF_TOKEN", "MODELSCOPE_API_TOKEN")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Variables, volumes and mounts for one container."""

    env: tuple[JsonObject, ...] = ()
    volumes: tuple[JsonObject, ...] = ()
    mounts: tuple[JsonObject, ...] = ()

    def __add__(self, other: Credentials) -> Credentials:
        """Return both; a variable of the other one stands for one of the same name."""
        return Credentials(
            tuple(merge_env(self.env, other.env)),
            (*self.volumes, *other.volumes),
            (*self.mounts, *other.mounts),
        )


_Reader: TypeAlias = Callable[[Mapping[str, Any], CredentialSettings], Credentials | None]


def read_secret(secret: Mapping[str, Any], settings: CredentialSettings) -> Credentials:
    """Return what a Secret gives; nothing where it is of no known kind."""
    found = (reader(secret, settings) for reader in _READERS)
    return next((credentials for credentials in found if credentials), Credentials())


def _s3(secret: Mapping[str, Any], settings: CredentialSettings) -> Credentials | None:
    if settings.s3_secret_key not in _keys(secret):
        return None
    name = str(secret["metadata"]["name"])
    keys = {
        "AWS_ACCESS_KEY_ID": settings.s3_id_key,
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key,
    }
    env = [from_secret(variable_name, name, key) for variable_name, key in keys.items()]
    return Credentials((*env, *make_s3_settings(secret, settings.s3)))


def _gcs(secret: Mapping[str, Any], settings: CredentialSettings) -> Credentials | None:
    if settings.gcs_file not in _keys(secret):
        return None
    name = str(secret["metadata"]["name"])
    path = f"{GCS_PATH}{settings.gcs_file}"
    return Credentials(
        (variable("GOOGLE_APPLICATION_CREDENTIALS", path),),
        ({"name": GCS_VOLUME, "secret": {"secretName": name}},),
        ({"name": GCS_VOLUME, "mountPath": GCS_PATH, "readOnly": True},),
    )


def _azure(secret: Mapping[str, Any], _: CredentialSettings) -> Credentials | None:
    keys = _keys(secret)
    if keys.isdisjoint(_AZURE_MARKS):
        return None
    name = str(secret["metadata"]["name"])
    old = {n: f"AZ_{n.removeprefix('AZURE_')}" for n in _AZURE[:_RENAMED]}
    found = {n: old[n] if old.get(n) in keys else n for n in _AZURE}
    return Credentials(tuple(from_secret(n, name, k) for n, k in found.items() if k in keys))


def _one_of(names: tuple[str, ...]) -> _Reader:
    def read(secret: Mapping[str, Any], _: CredentialSettings) -> Credentials | None:
        key = next((n for n in names if n in _keys(secret)), None)
        if key is None:
            return None
        return Credentials((from_secret(key, str(secret["metadata"]["name"]), key),))

    return read


def _https(secret: Mapping[str, Any], _: CredentialSettings) -> Credentials | None:
    if "https-host" not in _keys(secret):
        return None
    host = decoded(secret, "https-host")
    name = str(secret["metadata"]["name"])
    return Credentials((from_secret(f"{host}-headers", name, "headers"),))


def _hdfs(secret: Mapping[str, Any], _: CredentialSettings) -> Credentials | None:
    if "HDFS_NAMENODE" not in _keys(secret):
        return None
    volume = {"name": HDFS_VOLUME, "secret": {"secretName": str(secret["metadata"]["name"])}}
    mount = {"name": HDFS_VOLUME, "mountPath": HDFS_PATH, "readOnly": True}
    return Credentials((), (volume,), (mount,))


_READERS: tuple[_Reader, ...] = (
    _s3,
    _gcs,
    _azure,
    _one_of(_SINGLE),
    _https,
    _hdfs,
    _one_of(_TOKENS),
)


def _keys(secret: Mapping[str, Any]) -> frozenset[str]:
    return frozenset({*(secret.get("data") or {}), *(secret.get("stringData") or {})})
