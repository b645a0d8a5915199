"""What a folder says of the model in it: the files that a format's own tools write."""

from __future__ import annotations

from pathlib import Path

from sampan.app.file_signs import Sign, gather_sign

_MARKS = (
    ("MLmodel", "mlflow", "MLflow's description of a model"),
    ("model-settings.json", "mlserver", "MLServer's settings of a model"),
    ("saved_model.pb", "tensorflow", "TensorFlow's SavedModel"),
    ("predictor.pkl", "autogluon", "what AutoGluon saves"),
    ("bento.yaml", "bentoml", "a Bento: a program, which is run as it is"),
    ("bentofile.yaml", "bentoml", "a project of BentoML: a program, which is run as it is"),
    ("config.pbtxt", "triton", "Triton's configuration: give the folder around it"),
)
"""A file right in a folder, the format, and what it is."""

_MODEL_STORE = "model-store"
_TRANSFORMERS = ("model_type", "architectures")


def gather_folder_signs(folder: Path) -> list[Sign]:
    """Return each format that a folder may be, one where it is plain; OSError."""
    marked = [
        Sign(format_name, f'it holds "{file}", {what}')
        for file, format_name, what in _MARKS
        if (folder / file).is_file()
    ]
    if marked:
        return marked[:1]
    for look in (_look_transformers, _look_versions, _look_repository, _look_store):
        sign = look(folder)
        if sign is not None:
            return [sign]
    return _look_files(folder)


def _look_transformers(folder: Path) -> Sign | None:
    file = folder / "config.json"
    if not file.is_file():
        return None
    text = file.read_text("utf-8", "replace")
    if any(f'"{name}"' in text for name in _TRANSFORMERS):
        return Sign("huggingface", 'it holds "config.json" of a transformers model')
    return None


def _look_versions(folder: Path) -> Sign | None:
    """Look for numbered folders of SavedModels: TensorFlow Serving's layout."""
    for version in _folders(folder):
        if version.name.isdecimal() and (version / "saved_model.pb").is_file():
            return Sign("tensorflow", f'it holds "{version.name}/saved_model.pb", a version')
    return None


def _look_repository(folder: Path) -> Sign | None:
    """Look for models of a Triton repository: a configuration, or a version with a model."""
    for model in _folders(folder):
        if (model / "config.pbtxt").is_file():
            return Sign("triton", f'it holds "{model.name}/config.pbtxt"')
        for version in _folders(model):
            if version.name.isdecimal() and any(version.glob("model.*")):
                found = next(version.glob("model.*"))
                where = found.relative_to(folder)
                return Sign("triton", f'it holds "{where}": a model, a version, a file')
    return None


def _look_store(folder: Path) -> Sign | None:
    store = folder / _MODEL_STORE
    if store.is_dir() and (folder / "config" / "config.properties").is_file():
        return Sign("pytorch", f'it holds "{_MODEL_STORE}" and "config/config.properties"')
    if store.is_dir() and any(store.glob("*.mar")):
        return Sign("mar", f'archives in "{_MODEL_STORE}" without "config/config.properties"')
    return None


def _look_files(folder: Path) -> list[Sign]:
    """Return what the files right in a folder are, each format once; of Paddle's two files one."""
    found: dict[str, Sign] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        sign = gather_sign(path)
        if path.name.endswith(".pdmodel"):
            sign = Sign("paddle", "Paddle's older form of a program")
        if sign is not None:
            found.setdefault(sign.format, Sign(sign.format, f'"{path.name}" is {sign.why}'))
    return list(found.values())


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
