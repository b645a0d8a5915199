"""A project's settings as values: files first, then the environment, as MLServer has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean
from sampan.server.load_failure import LoadFailure

MODEL_FILE = "model-settings.json"
SERVER_FILE = "settings.json"
_PREFIX = "MLSERVER_MODEL_"
_FIELDS = frozenset(
    {
        "name", "implementation", "platform", "versions", "inputs", "outputs", "parameters",
        "max_batch_size", "max_batch_time", "cache_enabled", "parallel_workers", "warm_workers",
    }
)  # fmt: skip
_OWN_PROCESSES = (
    "environment_tarball",
    "environment_path",
    "inference_pool_gid",
    "autogenerate_inference_pool_gid",
)
_SILENT = {
    "cache_enabled": "every request is computed",
    "parallel_workers": "--workers sets the processes",
}
_SILENT_SERVER = {
    "cache_enabled": "every request is computed",
    "kafka_enabled": "requests come over HTTP and gRPC only",
    "tracing_server": "OTEL_EXPORTER_OTLP_ENDPOINT names where traces go",
    "metrics_port": "metrics are at the HTTP port, /metrics",
    "extensions": "--app adds an application",
    "root_path": "a gateway adds a path",
    "cors_settings": "--middleware adds what answers preflights",
    "model_repository_implementation": "models are those of the project's folder",
}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """A model of a project. `source` is its settings file, None where the environment names it."""

    name: str
    implementation: str
    uri: Path
    source: Path | None
    version: str = ""
    platform: str = ""
    inputs: tuple[JsonObject, ...] = ()
    outputs: tuple[JsonObject, ...] = ()
    max_batch_size: int = 0
    max_batch_time: float = 0.0
    document: JsonObject = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def gather_models(root: Path, environ: Mapping[str, str], *, trust: bool) -> list[ModelSettings]:
    """Return the models of a project: one a `model-settings.json`, else that of the environment.

    LoadFailure tells what is wrong with a file.
    """
    files = sorted(root.glob(f"**/{MODEL_FILE}")) if root.is_dir() else []
    if not files:
        return [make_settings(_from_environment(environ), None, root, trust=True)]
    made = [make_settings(_read(path), path, root, trust=trust) for path in files]
    by_name: dict[str, ModelSettings] = {}
    for one in made:
        other = by_name.get(one.name)
        if other is not None and other.version == one.version:
            raise _wrong(one.source, f'a second model is named "{one.name}"; rename one of them')
        by_name[one.name] = one if other is None else _newest(one, other)
    return list(by_name.values())


def _newest(one: ModelSettings, other: ModelSettings) -> ModelSettings:
    """Return the newer of two versions of a model, which says that the other is not served."""
    newer, older = (one, other) if _newer(one.version) > _newer(other.version) else (other, one)
    left = f'version "{older.version}" is not served beside "{newer.version}"; rename one of them'
    return replace(newer, warnings=(*older.warnings, *newer.warnings, left))


def gather_server_warnings(root: Path) -> list[str]:
    """Return a sentence for each server setting of the project that has no effect here."""
    path = root / SERVER_FILE
    if not path.is_file():
        return []
    return [
        f'"{name}" of {SERVER_FILE} is not honoured: {instead}'
        for name, instead in _SILENT_SERVER.items()
        if _read(path).get(name)
    ]


def make_settings(
    document: JsonObject, source: Path | None, root: Path, *, trust: bool
) -> ModelSettings:
    """Return a model's settings; LoadFailure names the field at fault. Asks the disk of its uri."""
    folder = root if source is None else source.parent
    for name in document:
        if name not in _FIELDS and not name.startswith("$"):
            raise _wrong(source, f'unknown field "{name}"{did_you_mean(name, _FIELDS)}')
    implementation = document.get("implementation")
    if not isinstance(implementation, str) or not implementation:
        raise _wrong(
            source, f'implementation is {implementation!r}; name a class, as "models.MyModel"'
        )
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _wrong(source, f"parameters is {parameters!r}; give an object")
    for name in _OWN_PROCESSES:
        if parameters.get(name):
            raise _wrong(
                source, f"parameters.{name} is {parameters[name]!r:.80}, and a model has no "
                        "environment and no processes of its own here; serve it as a service of "
                        "its own, with the annotation serving.sampan.dev/requirements"
            )  # fmt: skip
    uri = _uri(parameters.get("uri"), folder, source, root if not trust else None)
    return ModelSettings(
        name=str(document.get("name") or folder.name),
        implementation=implementation,
        uri=uri,
        source=source,
        version=str(parameters.get("version") or ""),
        platform=str(document.get("platform") or ""),
        inputs=tuple(document.get("inputs") or ()),
        outputs=tuple(document.get("outputs") or ()),
        max_batch_size=_number(document, "max_batch_size", source),
        max_batch_time=_number(document, "max_batch_time", source),
        document=document,
        warnings=tuple(
            f"{name} is not honoured: {instead}"
            for name, instead in _SILENT.items()
            if document.get(name)
        ),
    )


def _uri(value: Any, folder: Path, source: Path | None, within: Path | None) -> Path:
    """Return where the model is: its folder where nothing is said."""
    if value is None:
        return folder
    if not isinstance(value, str) or "://" in value:
        raise _wrong(source, f"parameters.uri is {value!r}; give a path in the project")
    path = folder / value
    if within is not None and not path.resolve().is_relative_to(within.resolve()):
        raise LoadFailure(
            "ModelUntrusted",
            f'{source}: parameters.uri "{value}" leaves the project; put the model into it, or set '
            'the annotation serving.sampan.dev/trust: "true" if you trust where it comes from',
        )
    if not path.exists():
        name = folder.name if source is not None else ""
        raise LoadFailure(
            "ModelMissing", f"Invalid URI specified for model {name} ({value}); put the model there"
        )
    return path


def _number(document: JsonObject, name: str, source: Path | None) -> Any:
    value = document.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise _wrong(source, f"{name} is {value!r}; give a number from 0")
    return value


def _newer(version: str) -> tuple[int, Any]:
    """Return a key by which versions are ordered: numbers by size, after names."""
    digits = version.removeprefix("v")
    return (1, int(digits)) if digits.isdecimal() else (0, version)


def _read(path: Path) -> JsonObject:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise _wrong(path, f"no JSON ({error}); mend the file") from None
    if not isinstance(value, dict):
        raise _wrong(path, "a list or value; give an object")
    return value


def _from_environment(environ: Mapping[str, str]) -> JsonObject:
    """Return the settings of the one model that variables name (KServe's way)."""
    given = {
        name: environ[_PREFIX + name.upper()]
        for name in ("name", "implementation", "platform")
        if environ.get(_PREFIX + name.upper())
    }
    if "implementation" not in given:
        raise LoadFailure(
            "ModelMissing",
            f"the project has no {MODEL_FILE}, and MLSERVER_MODEL_IMPLEMENTATION is not set; add "
            "one of them",
        )
    made: JsonObject = dict(given)
    for name in ("max_batch_size", "max_batch_time"):
        value = environ.get(_PREFIX + name.upper())
        if value:
            made[name] = float(value) if "time" in name else int(value)
    parameters = environ.get(_PREFIX + "PARAMETERS")
    if parameters:
        made["parameters"] = json.loads(parameters)
    return made


def _wrong(source: Path | None, what: str) -> LoadFailure:
    where = source.name if source is not None else "MLSERVER_MODEL_*"
    folder = f"{source.parent.name}/" if source is not None else ""
    return LoadFailure("ModelIncompatible", f"{folder}{where}: {what}")
