"""`config.properties`, and which archives of a model store it asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean
from sampan.runtimes.torchserve.archive import EXTENSION, MANIFEST
from sampan.runtimes.torchserve.batches import Batch, make_batch
from sampan.server.load_failure import LoadFailure

_SILENT = {
    "install_py_dep_per_model": "packages are those of the runtime's environment",
    "allowed_urls": "archives are those of the model store",
    "default_workers_per_model": "--workers sets the processes",
    "private_key_file": "--ssl_keyfile names the key",
    "certificate_file": "--ssl_certfile names the certificate",
    "job_queue_size": "--max_queue bounds what waits",
    "max_request_size": "--max_body_bytes bounds a body",
    "default_response_timeout": "--worker_timeout bounds an answer",
    "cors_allowed_origin": "--middleware adds what answers preflights",
    "cors_allowed_methods": "--middleware adds what answers preflights",
    "cors_allowed_headers": "--middleware adds what answers preflights",
    "number_of_gpu": "a handler takes the device that is there",
    "service_envelope": "V1 and V2 have their envelopes, /predictions has none",
}
_HONOURED = frozenset(
    {"model_snapshot", "load_models", "enable_model_api", "model_store", "models"}
)
_NOT_ASKED = frozenset(
    {
        "inference_address", "management_address", "metrics_address", "grpc_inference_port",
        "grpc_management_port", "grpc_inference_address", "grpc_management_address",
        "grpc_inference_max_connection_age_ms", "grpc_management_max_connection_age_ms",
        "enable_metrics_api", "metrics_format", "metrics_mode", "metrics_config",
        "enable_envvars_config", "disable_token_authorization", "disable_system_metrics",
        "number_of_netty_threads", "netty_client_threads", "workflow_store", "vmargs", "debug",
        "async_logging", "prefer_direct_buffer", "use_native_io", "io_ratio", "tsLogLevel",
        "max_response_size", "unregister_model_timeout", "initial_worker_port",
        "cpu_launcher_enable", "cpu_launcher_args", "ipex_enable",
    }
)  # fmt: skip
"""Where it listens, its threads and logs: what a server of another make has its own way for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An archive to load; an empty name is the archive's own. `default`: its version is asked
    where none is named.
    """

    name: str
    archive: Path
    default: bool = False
    batch: Batch | None = None


def parse_properties(text: str) -> dict[str, str]:
    """Return the keys of a Java properties file: `key=value`, `#` and `!` begin comments."""
    found: dict[str, str] = {}
    joined = text.replace("\\\n", "")
    for line in joined.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key[0] not in "#!":
            found[key.strip()] = value.strip()
    return found


def select_archives(
    store: Path, properties: Mapping[str, str], models: str = ""
) -> tuple[Wanted, ...]:
    """Return what is to be loaded: `--models`, else the snapshot, else `load_models`, else all.

    LoadFailure names what is wrong.
    """
    if models:
        return _from_list(store, models)
    snapshot = properties.get("model_snapshot", "")
    if snapshot:
        return _from_snapshot(store, snapshot)
    return _from_list(store, properties.get("load_models") or "all")


def make_warnings(properties: Mapping[str, str]) -> list[str]:
    """Return a sentence for each property that is set and has no effect here."""
    named = [
        f'"{key}" of config.properties is not honoured: {instead}'
        for key, instead in _SILENT.items()
        if properties.get(key)
    ]
    known = {*_SILENT, *_HONOURED, *_NOT_ASKED}
    named += [
        f'"{key}" of config.properties is not known here{did_you_mean(key, known)}'
        for key in properties
        if key not in known
    ]
    return named


def is_open(properties: Mapping[str, str], argument: str = "") -> bool:
    """Whether models may come and go by request: `--enable-model-api`, or the property."""
    return argument == "true" or properties.get("enable_model_api", "").lower() == "true"


def _from_list(store: Path, text: str) -> tuple[Wanted, ...]:
    if text.strip() not in {"all", "ALL"}:
        words = [word.strip().rpartition("=") for word in text.split(",") if word.strip()]
        return tuple(Wanted(name, find_archive(store, file)) for name, _, file in words)
    if not store.is_dir():
        raise LoadFailure("ModelMissing", f'model store "{store}" does not exist; give its folder')
    found = [
        path
        for path in sorted(store.iterdir())
        if path.name.endswith(EXTENSION) or (path / MANIFEST).is_file()
    ]
    if not found:
        raise LoadFailure(
            "ModelMissing",
            f'model store "{store}" holds no archive ({EXTENSION}); make one with '
            "torch-model-archiver",
        )
    return tuple(Wanted("", path) for path in found)


def _from_snapshot(store: Path, text: str) -> tuple[Wanted, ...]:
    """Return each version of each model of a snapshot (TorchServe, "Snapshot")."""
    return tuple(
        Wanted(
            name,
            find_archive(store, _mar_name(found, name)),
            bool(found.get("defaultVersion")),
            make_batch(found, f'model "{name}" of model_snapshot'),
        )
        for name, versions in _read_models(text, "model_snapshot", "models").items()
        for found in versions.values()
    )


def _mar_name(found: JsonObject, name: str) -> str:
    if not isinstance(found.get("marName"), str):
        raise _unreadable("model_snapshot", f'model "{name}" has no marName')
    mar: str = found["marName"]
    return mar


def read_batches(properties: Mapping[str, str]) -> dict[tuple[str, str], Batch]:
    """Return what `models` of config.properties says of batches, by model and version."""
    text = properties.get("models", "")
    if not text:
        return {}
    return {
        (name, version): batch
        for name, versions in _read_models(text, "models").items()
        for version, found in versions.items()
        if (batch := make_batch(found, f'model "{name}" of models')) is not None
    }


def _read_models(text: str, key: str, *within: str) -> dict[str, dict[str, JsonObject]]:
    """Return models and versions of a key's JSON; LoadFailure says what is wrong with it."""
    try:
        models: Any = json.loads(text)
        for name in within:
            models = models[name]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(key, repr(error)) from None
    shaped = isinstance(models, dict) and all(
        isinstance(versions, dict)
        and versions
        and all(isinstance(found, dict) for found in versions.values())
        for versions in models.values()
    )
    if not shaped:
        raise _unreadable(key, "no versions of models")
    found: dict[str, dict[str, JsonObject]] = models
    return found


def _unreadable(key: str, why: str) -> LoadFailure:
    form = '{"NAME": {"VERSION": {"marName": "FILE.mar"}}}'
    whole = form if key == "models" else f'{{"models": {form}}}'
    return LoadFailure(
        "ModelIncompatible",
        f"{key} of config.properties cannot be read ({why}); write {whole}",
    )


def find_archive(store: Path, name: str) -> Path:
    """Return an archive of the store by its name; one that is elsewhere is refused."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "://" in name:
        raise LoadFailure(
            "ModelUntrusted", f'archive "{name}" is not in the model store; put it there'
        )
    return store / name
