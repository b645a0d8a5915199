"""Reading what `-f` names: files, folders, `-`; with the line of each object for messages."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.cli.client import JsonObject
from sampan.cli.output import CliError

if TYPE_CHECKING:
    from sampan.api.yamlfile import Document

SUFFIXES = {".yaml", ".yml", ".json"}
URI_FIELDS = ("storageUri", "storageURI")
WORD_FIELDS = ("command", "args")
RELATIVE = ("./", "../")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One object of a file; `source` is what a person named, `document` knows its lines."""

    source: str
    document: Document
    obj: JsonObject


@dataclass(frozen=True, slots=True)
class _Place:
    """The folder that relative paths are meant from; `words`: those of commands too."""

    folder: Path
    words: bool

    def absolute(self, path: str) -> str:
        return str((self.folder / path).resolve())


def load_objects(names: list[str], *, words: bool = True) -> list[Loaded]:
    """Return every object of the named files; raise CliError naming all files that do not parse.

    `words`: files that commands name by `./` are meant on this machine (`resolve_relative`).
    """
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
            for document in documents:
                obj = resolve_relative(document.obj, folder, words=words)
                loaded.append(Loaded(source, document, obj))
    if problems:
        raise CliError("\n".join(problems))
    if not loaded:
        raise CliError(f"no objects were found in {', '.join(names)}")
    return loaded


def resolve_relative(obj: JsonObject, folder: Path, *, words: bool = True) -> JsonObject:
    """Make `storageUri: ./model` absolute: a relative path is meant from the file's folder.

    So is `command: [python, ./model.py]`, where there is such a file: in an image it is meant from
    the image's own folder, for which the file's folder stands on this machine.
    """
    spec = obj.get("spec")
    if obj.get("kind") != "InferenceService" or not isinstance(spec, dict):
        return obj
    return {**obj, "spec": _resolve(spec, _Place(folder, words))}


def _resolve(value: JsonObject, place: _Place) -> JsonObject:
    """Resolve the fields of an object; the variable `STORAGE_URI` is a `storageUri` too."""
    if value.get("name") == "STORAGE_URI" and isinstance(value.get("value"), str):
        return {**value, "value": _resolve_field(URI_FIELDS[0], value["value"], place)}
    return {key: _resolve_field(key, inner, place) for key, inner in value.items()}


def _resolve_field(key: str, value: Any, place: _Place) -> Any:
    if isinstance(value, dict):
        return _resolve(value, place)
    if isinstance(value, list) and key in WORD_FIELDS:
        return [_resolve_word(word, place) for word in value]
    if isinstance(value, list):
        return [_resolve(item, place) if isinstance(item, dict) else item for item in value]
    if key in URI_FIELDS and isinstance(value, str) and value.startswith(RELATIVE):
        return place.absolute(value)
    return value


def _resolve_word(word: Any, place: _Place) -> Any:
    if not place.words or not isinstance(word, str) or not word.startswith(RELATIVE):
        return word
    return place.absolute(word) if (place.folder / word).exists() else word


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
