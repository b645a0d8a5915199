"""The credentials with which a workload's models are fetched on this machine.

They come from where a cluster takes them, by the very functions of its pod webhook: Secrets of the
ServiceAccount (or the one that an annotation names), entries of `storage-config`, the configuration
and ClusterStorageContainers. They are read anew at each try, kept nowhere, and nothing of the
daemon's own variables is among them: who may create a service does not borrow its owner's keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from sampan.machinery.errors import ApiError, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.pod_metadata import SOURCE_URI, STORAGE_CONTAINER, STORAGE_SPEC
from sampan.plan.types import PodTemplate
from sampan.platforms.kubernetes.pods.account_credentials import (
    DEFAULT_ACCOUNT,
    make_account_credentials,
)
from sampan.platforms.kubernetes.pods.ca_bundle import GLOBAL_CONFIG_MAP
from sampan.platforms.kubernetes.pods.s3_settings import CA_CONFIG_MAP_ENV, CA_FILE_ENV
from sampan.platforms.kubernetes.pods.secret_credentials import Credentials
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.storage_container import select_storage_container
from sampan.platforms.kubernetes.pods.storage_spec import read_storage_entry
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.local.pull_secrets import IMAGES, make_login_file, select_pull_secret
from sampan.platforms.local.references import decode_data
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.objects.environment import read_environment
from sampan.storage.pod_environment import make_host_headers

_CONFIG = Key("configmaps", "kserve", "inferenceservice-config")
_CONTAINERS = "clusterstoragecontainers.serving.kserve.io"
_LOCAL = ("/", "file://", "pvc://")
_CA_FILE = "cabundle.crt"


class Access(Protocol):
    """Who knows with what a model is fetched."""

    async def prepare(
        self, template: PodTemplate, namespace: str, uri: str, options: FetchOptions
    ) -> tuple[str, FetchOptions]:
        """Return where a source of a template's model is, and with what it is fetched."""


class NoAccess:
    """For who fetches without credentials."""

    async def prepare(
        self,
        template: PodTemplate,  # noqa: ARG002  # as Access has it
        namespace: str,  # noqa: ARG002  # as Access has it
        uri: str,
        options: FetchOptions,
    ) -> tuple[str, FetchOptions]:
        """Return both as they are."""
        return uri, options


class StoreAccess:
    """`Access` by the objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def prepare(
        self, template: PodTemplate, namespace: str, uri: str, options: FetchOptions
    ) -> tuple[str, FetchOptions]:
        """Return where a source really is, and the options to fetch it with; raise StorageError.

        What lies on this machine needs no credentials, and none are read for it.
        """
        if uri.startswith(_LOCAL):
            return uri, options
        pod = _make_pod(template, namespace)
        try:
            around = await self._gather(pod)
            uri, made = _select(uri, pod, around)
            variables = await self._resolve(made, namespace)
            files = await self._read_files(made, variables, pod, around)
            if uri.startswith(IMAGES):
                files |= await self._read_login(pod, around)
        except ApiError as error:
            reason = "SecretNotFound" if "not found:" in error.message else "InvalidStorageSettings"
            raise StorageError(reason, error.message, retryable=True) from None
        _require_given(variables, files, around)
        return uri, _extend(options, variables, files, around)

    async def _gather(self, pod: JsonObject) -> Surroundings:
        """Read what the pod webhook would be given, as far as this pod needs it."""
        namespace = pod["metadata"]["namespace"]
        config = await self._find(_CONFIG) or {}
        settings = parse_pod_settings(config.get("data") or {})
        name = pod["spec"].get("serviceAccountName") or DEFAULT_ACCOUNT
        account = await self._find(Key("serviceaccounts", namespace, name))
        named = pod["metadata"]["annotations"].get(settings.credentials.secret_annotation)
        listed = [str(s["name"]) for s in (account or {}).get("secrets") or ()]
        secrets = {settings.credentials.spec_secret, *([named] if named else listed)}
        found = {s: await self._find(Key("secrets", namespace, s)) for s in sorted(secrets)}
        containers = (await self._store.list(_CONTAINERS)).items
        return Surroundings(
            settings=settings,
            storage_containers=tuple(containers),
            secrets={name: obj for name, obj in found.items() if obj is not None},
            accounts={name: account} if account is not None else {},
        )

    async def _resolve(self, made: Credentials, namespace: str) -> dict[str, str]:
        """Return variables with the values that they refer to; raise StorageError."""
        variables = {}
        for entry in made.env:
            reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if reference is None:
                variables[entry["name"]] = str(entry.get("value") or "")
                continue
            data = await self._data("Secret", namespace, str(reference["name"]))
            if reference["key"] not in data:
                raise StorageError(
                    "InvalidStorageSettings",
                    f'the Secret "{reference["name"]}" has no key "{reference["key"]}", which '
                    f"{entry['name']} is read from; add it to the Secret",
                    retryable=True,
                )
            variables[entry["name"]] = data[reference["key"]].decode(errors="replace").strip("\n")
        return variables

    async def _read_files(
        self,
        made: Credentials,
        variables: dict[str, str],
        pod: JsonObject,
        around: Surroundings,
    ) -> dict[str, str]:
        """Return the files that variables name and that a pod would have mounted."""
        namespace = pod["metadata"]["namespace"]
        files: dict[str, str] = {}
        for mount in made.mounts:
            volume = next(v for v in made.volumes if v["name"] == mount["name"])
            data = await self._data("Secret", namespace, volume["secret"]["secretName"])
            folder = str(mount["mountPath"]).rstrip("/")
            files |= {f"{folder}/{k}": v.decode(errors="replace") for k, v in data.items()}
        config_map = variables.get(CA_CONFIG_MAP_ENV) or around.settings.initializer.ca_config_map
        if config_map:
            bundle = await self._read_bundle(config_map, namespace, around)
            default = f"{around.settings.initializer.ca_path}/{_CA_FILE}"
            files[variables.setdefault(CA_FILE_ENV, default)] = bundle
        return files

    async def _read_login(self, pod: JsonObject, around: Surroundings) -> dict[str, str]:
        """Return the file of logins that the pod's first pull Secret is."""
        account = pod["spec"].get("serviceAccountName") or DEFAULT_ACCOUNT
        name = select_pull_secret(pod, around.accounts.get(account))
        if not name:
            return {}
        data = await self._data("Secret", str(pod["metadata"]["namespace"]), name)
        return make_login_file(name, data)

    async def _read_bundle(self, name: str, namespace: str, around: Surroundings) -> str:
        """The configured ConfigMap lies beside the configuration; others in the namespace."""
        shared = name in {around.settings.initializer.ca_config_map, GLOBAL_CONFIG_MAP}
        where = _CONFIG.namespace if shared else namespace
        data = await self._data("ConfigMap", where, name)
        if _CA_FILE not in data:
            raise StorageError(
                "InvalidStorageSettings",
                f'the ConfigMap "{name}" in namespace "{where}" has no key "{_CA_FILE}", and S3\'s '
                "certificates are to be checked by it; add it, as PEM",
                retryable=True,
            )
        return data[_CA_FILE].decode(errors="replace")

    async def _data(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes]:
        resource = {"Secret": "secrets", "ConfigMap": "configmaps"}[kind]
        found = await self._find(Key(resource, namespace, name))
        if found is None:
            raise StorageError(
                f"{kind}NotFound" if kind == "Secret" else "InvalidStorageSettings",
                f'the {kind} "{name}" with what the model is fetched by is not in the namespace '
                f'"{namespace}"; create it, or name another',
                retryable=True,
            )
        return decode_data(kind, found)

    async def _find(self, key: Key) -> JsonObject | None:
        try:
            return await self._store.get(key)
        except NotFound:
            return None


def _make_pod(template: PodTemplate, namespace: str) -> JsonObject:
    """Return the pod that the webhook would be asked about. Pure."""
    metadata = template.get("metadata") or {}
    annotations = dict(metadata.get("annotations") or {})
    named = {"namespace": namespace, "annotations": annotations}
    return {"metadata": named, "spec": dict(template.get("spec") or {})}


def _select(uri: str, pod: JsonObject, around: Surroundings) -> tuple[str, Credentials]:
    """Return where a source is and what is told about it, as KServe's webhook decides. Pure.

    The image of a storage container is not run here; what its variables say counts.
    """
    annotations, asked = pod["metadata"]["annotations"], uri
    if STORAGE_SPEC in annotations and annotations.get(SOURCE_URI) == uri:
        entry = read_storage_entry(uri, pod, around)
        uri, made = entry.uri, Credentials(entry.env)
    else:
        made = make_account_credentials(pod, around)
    named = annotations.get(STORAGE_CONTAINER, "")
    chosen = select_storage_container(asked, around.storage_containers, named)
    env: Iterable[Any] = (chosen or {}).get("spec", {}).get("container", {}).get("env") or ()
    return uri, made + Credentials(tuple(env))


def _require_given(
    variables: Mapping[str, str], files: Mapping[str, str], around: Surroundings
) -> None:
    """Raise StorageError for a file of this machine that others than its operator name. Pure.

    A pod would look for it in its own container; here it would be read as whoever runs the daemon.
    """
    path = read_environment(variables).get(CA_FILE_ENV, "")
    specs = [(c.get("spec") or {}).get("container") or {} for c in around.storage_containers]
    env = [each for spec in specs for each in spec.get("env") or ()]
    trusted = {str(each.get("value")) for each in env if each.get("name") == CA_FILE_ENV}
    trusted.add(around.settings.credentials.s3.get("s3CABundle", ""))
    if path and path not in files and path not in trusted:
        raise StorageError(
            "InvalidStorageSettings",
            f'the certificates of S3 are to be read from "{path}", and files of this machine are '
            "read for its operator only; put them into a ConfigMap as cabundle.crt, and name that "
            "by the annotation serving.kserve.io/s3-cabundle-configmap of the Secret",
            retryable=True,
        )


def _extend(
    options: FetchOptions,
    variables: Mapping[str, str],
    files: Mapping[str, str],
    around: Surroundings,
) -> FetchOptions:
    """Return the options with what was read. The operator's own endpoint of S3 is trusted. Pure."""
    endpoint = around.settings.credentials.s3.get("s3Endpoint", "")
    host = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname
    try:
        headers = make_host_headers(variables)
    except ValueError as error:
        raise StorageError("InvalidStorageSettings", str(error), retryable=True) from None
    return replace(
        options,
        environment={**options.environment, **variables},
        files={**options.files, **files},
        host_headers={**options.host_headers, **headers},
        allowed_private_hosts=(*options.allowed_private_hosts, *((host,) if host else ())),
    )
