"""`sampan run MODEL`: a model's file or folder in the place of a YAML file."""

from __future__ import annotations

from pathlib import Path

from sampan.cli.client import JsonObject
from sampan.cli.files import Loaded
from sampan.cli.output import CliError, note

_YAML = {".yaml", ".yml"}


def is_model(word: str) -> bool:
    """Whether a word of `run` names a model: no standard input, and nothing with objects in it."""
    path = Path(word)
    if word == "-" or not path.exists() or path.suffix in _YAML:
        return False
    if path.is_dir():
        return not any(_holds_objects(p) for p in sorted(path.iterdir()) if p.suffix in _YAML)
    return not (path.suffix == ".json" and _holds_objects(path))


def _holds_objects(path: Path) -> bool:
    """Whether a file looks like objects: it names an API and a kind."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return "apiVersion" in text and "kind" in text


def load_model(word: str, name: str = "") -> list[Loaded]:
    """Return the objects for a model's file or folder, and say why; CliError where it is none."""
    from sampan.app.recognition import Unrecognised, recognise

    try:
        found = recognise(Path(word), name)
    except Unrecognised as error:
        raise CliError(str(error)) from None
    except OSError as error:
        raise CliError(f'"{word}" cannot be read: {error}') from None
    note(f'"{word}" is a model of format {found.sign.format}: {found.sign.why}')
    return _as_loaded(list(found.objects), word)


def _as_loaded(objects: list[JsonObject], word: str) -> list[Loaded]:
    from sampan.api.yamlfile import parse_documents

    documents = parse_documents(render_yaml(objects), word)
    return [Loaded(word, document, document.obj) for document in documents]


def render_yaml(objects: list[JsonObject]) -> str:
    """Return objects as the text of a file."""
    import yaml

    return "---\n".join(yaml.safe_dump(obj, sort_keys=False) for obj in objects)
