"""What a server serves, made of its arguments: the models of files, of a folder, of sub-folders."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sampan.app.serve_arguments import Options
from sampan.app.serve_extensions import Extensions, load_extensions
from sampan.app.targets import make_model
from sampan.runtimes import get_runtime, resolve
from sampan.runtimes.model_files import sub_folders
from sampan.runtimes.pickles import parse_names
from sampan.runtimes.serving import Offer, Order
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers


@dataclass(frozen=True, slots=True)
class Served:
    """The models of a server, and what a person added to it."""

    repository: ModelRepository
    extensions: Extensions
    api: Any = None
    """The interface of another server, where the runtime stands for one (`runtimes.serving`)."""
    strict: bool = False
    """Whether one model that does not load at the start ends the server."""
    beside: Callable[[Workers], Coroutine[Any, Any, None]] | None = None
    """What goes on while it serves, until it is cancelled."""


def make_served(options: Options) -> Served:
    """Return what the arguments name, no model loaded; LoadFailure, ValueError, OSError."""
    offer = _make_offer(options)
    extensions = load_extensions(options)
    if extensions.app is None and offer.app is not None:
        extensions = replace(extensions, app=offer.app)
    return Served(offer.repository, extensions, offer.api, offer.strict, offer.beside)


def _make_offer(options: Options) -> Offer:
    """Return what the runtime makes of a folder; of targets and plain runtimes, their models."""
    if options.targets:
        return Offer(_make_repository(options))
    runtime = get_runtime(options.runtime)
    if not runtime.server:
        api = resolve(runtime.api)() if runtime.api else None
        return Offer(_make_repository(options), api)
    given: dict[str, list[str]] = {}
    for name, _, value in (option.partition("=") for option in options.server_options):
        given.setdefault(name, []).append(value)
    order = Order(
        options.model_name,
        Path(options.model_dir),
        options.trust,
        _allowed(options),
        {name: ",".join(values) for name, values in given.items()},
    )
    offer: Offer = resolve(runtime.server)(order)
    return offer


def _allowed(options: Options) -> frozenset[str]:
    """Return the further names that pickles may hold."""
    if not options.allow_classes:
        return frozenset()
    return parse_names(Path(options.allow_classes).read_text())


def _make_repository(options: Options) -> ModelRepository:
    """Register the targets; else the model of the folder, or one a sub-folder of models."""
    if options.targets:
        repository = ModelRepository()
        for target in options.targets:
            repository.update(make_model(target), target.name)
        return repository
    runtime = get_runtime(options.runtime)
    model_class = resolve(runtime.model)
    allowed = _allowed(options)
    root = Path(options.model_dir)
    own = {name: getattr(options, name) for name in runtime.options}

    def make(name: str, folder: Path) -> Model:
        model: Model = model_class(name, str(folder), trust=options.trust, allowed=allowed, **own)
        return model

    if options.multi_model:
        repository = ModelRepository(lambda name: make(name, _child(root, name)))
        for name in sub_folders(root):
            repository.update(make(name, root / name))
        return repository
    repository = ModelRepository()
    repository.update(make(options.model_name, root))
    return repository


def _child(root: Path, name: str) -> Path:
    """Return the folder of a model asked for by a request: never outside the root."""
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise LoadFailure("ModelMissing", f'"{name}" is no name of a folder in the model folder')
    return root / name
