"""What `sampan serve my_model.py:MyModel` names, and how a model is made of it.

The file is run as `python my_model.py` would run it: its folder is importable, and so is `kserve`
(Sampan's, unless KServe's own is installed). It and the modules beside it are compiled from their
text each time, because a cached compilation is told apart by whole seconds only.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from dataclasses import dataclass
from importlib import invalidate_caches
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from sampan.kserve import enable
from sampan.machinery.suggest import suggest
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Model

FORM = "[NAME=]FILE.py:CLASS"


@dataclass(frozen=True, slots=True)
class Target:
    """A class (or a ready model) in a file, and the name that it is served under."""

    name: str
    path: Path
    attribute: str


def parse_target(word: str, name: str = "") -> Target:
    """Return the target of a word of the form above; ValueError tells what it lacks.

    The name is the word's, else `name`, else the file's: `my_model.py` serves as "my_model".
    """
    own, equals, rest = word.rpartition("=")
    file, colon, attribute = rest.rpartition(":")
    if not colon or not file.endswith(".py") or not attribute.isidentifier():
        raise ValueError(f'"{word}" names no model; write {FORM}, as in my_model.py:MyModel')
    if equals and not own:
        raise ValueError(f'"{word}" has an empty name; write {FORM} or leave "=" out')
    return Target(own or name or Path(file).stem, Path(file).resolve(), attribute)


def make_model(target: Target) -> Model:
    """Run the target's file anew and return its model, not loaded. LoadFailure tells why not.

    When it does not work, the modules are as they were before.
    """
    before = dict(sys.modules)
    _forget_modules(target.path.parent)
    try:
        return _model_of(target, getattr(_run_file(target), target.attribute, None))
    except BaseException:
        _forget_modules(target.path.parent)
        sys.modules.update(before)
        raise


def load_attribute(target: Target, kind: str) -> Any:
    """Return what a target names, of the module that was made for a model, else of one made now.

    LoadFailure where it cannot be called; `kind` says what it ought to be.
    """
    module = sys.modules.get(target.path.stem)
    if module is None or getattr(module, "__file__", None) != str(target.path):
        module = _run_file(target)
    value = getattr(module, target.attribute, None)
    if callable(value):
        return value
    near = suggest(
        target.attribute, [name for name, item in vars(module).items() if callable(item)]
    )
    where = f'"{target.attribute}" in "{target.path.name}"'
    what = f"{where} cannot be called" if value is not None else f"there is no {where}"
    mend = f'did you mean "{near}"?' if near and value is None else f"give the {kind} by its name"
    raise LoadFailure("ModelLoadFailed", f"{what}; {mend}")


def module_files(folder: Path) -> dict[str, Path]:
    """Return the loaded modules whose files lie in a folder, installed packages left out."""
    found: dict[str, Path] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == "__main__":
            continue
        path = Path(file)
        if path.is_relative_to(folder) and "site-packages" not in path.parts:
            found[name] = path
    return found


def _forget_modules(folder: Path) -> None:
    """Forget a folder's modules, their cached compilation with them."""
    for name, path in module_files(folder).items():
        del sys.modules[name]
        Path(cache_from_source(path)).unlink(missing_ok=True)
    invalidate_caches()


def _run_file(target: Target) -> ModuleType:
    """Return the module that the file makes."""
    enable()
    folder = str(target.path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = ModuleType(target.path.stem)
    module.__file__ = str(target.path)
    code = _compile(target.path)
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)  # noqa: S102  # serving the user's own code is what was asked
    except (Exception, SystemExit) as error:
        raise _raised(target, error, "while it is imported") from error
    return module


def _compile(path: Path) -> CodeType:
    try:
        return compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise LoadFailure(
            "ModelMissing", f'"{path}" cannot be read ({error.strerror}); give the path of a file'
        ) from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{path}:{line}" if line else str(path)
        raise LoadFailure(
            "ModelLoadFailed", f"{place}: {type(error).__name__}: {error.args[0]}; mend that line"
        ) from None


def _model_of(target: Target, value: Any) -> Model:
    """Return the model that a class makes, or the model itself."""
    if isinstance(value, Model):
        return value
    if not (inspect.isclass(value) and issubclass(value, Model)):
        raise LoadFailure("ModelFormat", _no_model(target, value))
    try:
        takes_name = bool(inspect.signature(value).parameters)
        make: Any = value
        model: Model = make(target.name) if takes_name else make()
    except (Exception, SystemExit) as error:
        raise _raised(target, error, f'while "{target.attribute}" is made') from error
    return model


def _no_model(target: Target, value: Any) -> str:
    where = f'"{target.attribute}" in "{target.path.name}"'
    if value is not None:
        kind = "derives from another package's Model" if _is_foreign(value) else "is no Model"
        return f'{where} {kind}; derive the class from "sampan.sdk.Model"'
    module = sys.modules[target.path.stem]
    classes = [
        name
        for name, item in vars(module).items()
        if inspect.isclass(item) and issubclass(item, Model) and item.__module__ == module.__name__
    ]
    near = suggest(target.attribute, classes) or next(iter(classes), "")
    mend = f'did you mean "{near}"?' if near else 'give it a class that derives from "Model"'
    return f'"{target.path.name}" has no "{target.attribute}"; {mend}'


def _is_foreign(value: Any) -> bool:
    return inspect.isclass(value) and any(base.__name__ == "Model" for base in value.__mro__[1:])


def _raised(target: Target, error: BaseException, when: str) -> LoadFailure:
    """Name the last line of the user's own folder that the error went through."""
    if isinstance(error, LoadFailure):
        return error
    folder = str(target.path.parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(folder)]
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(target.path)
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return LoadFailure("ModelLoadFailed", f"{place}: {type(error).__name__}: {text} ({when})")
