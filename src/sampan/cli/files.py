"""Reading what `-f` names: files, folders, `-`; with the line of each object for messages."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli.client import JsonObject
from sampan.cli.output import CliError

if TYPE_CHECKING:
    from sampan.api.yamlfile import Document

SUFFIXES = {".yaml", ".yml", ".json"}
URI_FIELDS = ("storageUri", "storageURI")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One object of a file; `source` is what a person named, `document` knows its lines."""

    source: str
    document: Document
    obj: JsonObject


def load_objects(names: list[str]) -> list[Loaded]:
    """Return every object of the named files; raise CliError naming all files that do not parse."""
    from sampan.api.yamlfile import YamlError, parse_documents

    loaded: list[Loaded] = []
    problems: list[str] = []
    for name in names:
        for path in paths_of(name):
            source, text = read_file(path)
            try:
                documents = parse_documents(text, source)
            except YamlError as error:
                problems.append(str(error))
                continue
            folder = Path.cwd() if path is None else path.parent
            loaded += [Loaded(source, d, resolve_relative(d.obj, folder)) for d in documents]
    if problems:
        raise CliError("\n".join(problems))
    if not loaded:
        raise CliError(f"no objects were found in {', '.join(names)}")
    return loaded


def resolve_relative(obj: JsonObject, folder: Path) -> JsonObject:
    """Make `storageUri: ./model` absolute: a relative path is meant from the file's folder."""
    spec = obj.get("spec")
    if obj.get("kind") != "InferenceService" or not isinstance(spec, dict):
        return obj
    return {**obj, "spec": _resolve(spec, folder)}


def _resolve(value: JsonObject, folder: Path) -> JsonObject:
    changed: JsonObject = {}
    for key, inner in value.items():
        if key in URI_FIELDS and isinstance(inner, str) and inner.startswith(("./", "../")):
            changed[key] = str((folder / inner).resolve())
        elif isinstance(inner, dict):
            changed[key] = _resolve(inner, folder)
        else:
            changed[key] = inner
    return changed


def paths_of(name: str) -> list[Path | None]:
    """Return the files that a word of `-f` stands for; None is standard input."""
    if name == "-":
        return [None]
    path = Path(name)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        if not found:
            raise CliError(f'folder "{name}" holds no .yaml, .yml or .json file')
        return list(found)
    if not path.exists():
        raise CliError(f'the path "{name}" does not exist')
    return [path]


def read_file(path: Path | None) -> tuple[str, str]:
    """Return what a person calls a file, and its text; raise CliError."""
    if path is None:
        return "standard input", sys.stdin.read()
    try:
        return str(path), path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f'"{path}" cannot be read: {error}') from None
