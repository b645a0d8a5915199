"""What a Python file says of the models in it: it is read as text, and nothing of it is run."""

from __future__ import annotations

import ast
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.app.bento_folder import make_lines
from sampan.platforms.local.own_requirements import split_requirements

_HOMES = frozenset({"kserve", "sampan.sdk", "kserve.model", "sampan.server.model"})
"""Modules that a `Model` to subclass is imported from."""
_MODEL = "Model"
_SERVER = "ModelServer"
_MOST_BYTES = 2**20
"""Of a file that is read for models: what is longer was written by a program."""


@dataclass(frozen=True, slots=True)
class PythonFile:
    """The model classes of a file, and whether it starts a server of its own when it is run."""

    path: Path
    classes: tuple[str, ...]
    starts: bool


def gather_python(path: Path) -> PythonFile | None:
    """Return what a file has of models; None where it has none, or is no Python. OSError."""
    if path.stat().st_size > _MOST_BYTES:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(path.read_bytes())
        made = PythonFile(path, tuple(_find_classes(tree)), _starts_server(tree))
    except (SyntaxError, ValueError):
        return None  # its line is told by who runs it; here it is no sign of a model
    except (RecursionError, MemoryError):
        return None  # nobody writes a model that is nested deeper than Python's parser goes
    return made if made.classes else None


def describe_python(file: PythonFile) -> str:
    """Return what a file is. Pure."""
    what = "starts a ModelServer with" if file.starts else "has"
    return f"Python that {what} a Model: " + ", ".join(f'"{name}"' for name in file.classes)


def gather_python_files(folder: Path) -> list[PythonFile]:
    """Return the files right in a folder that have models; OSError."""
    found = (gather_python(path) for path in sorted(folder.glob("*.py")) if path.is_file())
    return [one for one in found if one is not None]


def gather_requirements(path: Path) -> list[str]:
    """Return the packages of the `requirements.txt` beside a file, or of its project.

    OSError; ValueError for a file that does not say, with the mend.
    """
    listed, project = path.parent / "requirements.txt", path.parent / "pyproject.toml"
    if listed.is_file():
        return make_lines(split_requirements(_read_text(listed)))
    if not project.is_file():
        return []
    try:
        told = tomllib.loads(_read_text(project)).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f'"{project}" is no TOML ({error}); correct it') from None
    found = told.get("dependencies", []) if isinstance(told, dict) else None
    if not isinstance(found, list):
        raise ValueError(  # noqa: TRY004  # of a file's content: one error for all its mistakes
            f'"{project}" has no list of packages where it should have one; write dependencies = '
            '["PACKAGE"] under [project]'
        )
    return make_lines(map(str, found))


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f'"{path}" is no text in UTF-8 ({error}); save it as UTF-8') from None


def select_main(files: Sequence[PythonFile]) -> PythonFile | None:
    """Return the file to serve: the one that starts a server, else the only one; None for none."""
    starting = [one for one in files if one.starts]
    if len(starting) == 1:
        return starting[0]
    return files[0] if len(files) == 1 and not starting and len(files[0].classes) == 1 else None


def _find_classes(tree: ast.Module) -> Iterator[str]:
    """Yield the classes that nothing else of the file is made of, and that are models."""
    models = {_MODEL} if _imports_model(tree) else set()
    if not models and not any(_is_home(node) for node in ast.walk(tree)):
        return
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        bases = {_name_of(base) for base in node.bases}
        if bases & (models | found.keys()) or any(_is_qualified(base) for base in node.bases):
            found[node.name] = bases
    inherited = set().union(*found.values()) if found else set()
    yield from (name for name in found if name not in inherited)


def _imports_model(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in _HOMES
        and any(alias.name == _MODEL and alias.asname is None for alias in node.names)
        for node in ast.walk(tree)
    )


def _is_home(node: ast.AST) -> bool:
    return isinstance(node, ast.Import) and any(alias.name in _HOMES for alias in node.names)


def _is_qualified(base: ast.expr) -> bool:
    """Whether a base is written as `kserve.Model`."""
    return (
        isinstance(base, ast.Attribute)
        and base.attr == _MODEL
        and ast.unparse(base.value) in _HOMES
    )


def _name_of(base: ast.expr) -> str:
    return base.id if isinstance(base, ast.Name) else ""


def _starts_server(tree: ast.Module) -> bool:
    """Whether `ModelServer(...).start(...)` is somewhere in it."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "start"
        and _SERVER in ast.unparse(node.func.value)
        for node in ast.walk(tree)
    )
