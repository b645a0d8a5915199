"""What AutoGluon saves: a folder with a pickle that names the predictor's own class.

It holds pickles of AutoGluon's classes and of other frameworks': it is loaded only where the
operator trusts it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from sampan.server.load_failure import LoadFailure, missing_package

PREDICTOR = "predictor.pkl"
_SERIES = b"autogluon.timeseries"
"""The package that a pickle of a TimeSeriesPredictor names."""


def is_series(folder: Path) -> bool:
    """Whether a folder is of a TimeSeriesPredictor; its pickle is read and not loaded."""
    file = folder / PREDICTOR
    return file.is_file() and _SERIES in file.read_bytes()


def validate_folder(folder: Path, *, trust: bool) -> None:
    """Raise LoadFailure unless a folder holds a predictor, and is trusted."""
    if not (folder / PREDICTOR).is_file():
        there = [f'"{p.name}"' for p in sorted(folder.iterdir())[:5]] if folder.is_dir() else []
        raise LoadFailure(
            "ModelMissing",
            f'no AutoGluon predictor in "{folder}" (it holds {", ".join(there) or "nothing"}); put '
            "there what the predictor saved",
        )
    if not trust:
        raise LoadFailure(
            "ModelUntrusted",
            f'"{folder.name}" is of pickles, which run code when they are loaded; if you '
            'trust where it comes from, set the annotation serving.sampan.dev/trust: "true" '
            "(or start the server with --trust)",
        )


def load_predictor(folder: Path, module: str, kind: str, **options: Any) -> Any:
    """Return the predictor of a folder that is trusted; LoadFailure tells what is wrong with it.

    `module` and `kind` name AutoGluon's class: `autogluon.tabular`, `TabularPredictor`.
    """
    try:
        predictor = getattr(import_module(module), kind)
    except ImportError as error:
        raise missing_package(
            module, error, f"it, by the annotation serving.sampan.dev/requirements: {module}"
        ) from None
    try:
        return predictor.load(str(folder), **options)
    except AssertionError as error:  # versions that differ
        raise LoadFailure(
            "ModelIncompatible",
            f'"{folder.name}" was saved by another version ({" ".join(str(error).split())}); set '
            "runtimeVersion to that version of AutoGluon, or save it again",
        ) from None
    except (OSError, EOFError, ImportError, AttributeError, KeyError, ValueError) as error:
        raise LoadFailure(
            "ModelCorrupt",
            f'"{folder.name}" cannot be loaded ({error}); copy the whole folder again',
        ) from error
    except Exception as error:
        raise LoadFailure(
            "ModelCorrupt",
            f'"{folder.name}" is no AutoGluon predictor ({type(error).__name__}: {error}); save it '
            "again",
        ) from error
