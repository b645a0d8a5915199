"""A Bento's service as a class: its module is run, with what `bentoml serve` sets up before it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from sampan.runtimes.bentoml.service import Service
from sampan.server.load_failure import LoadFailure


def import_service(folder: Path, target: str = "") -> Service:
    """Run the module of a Bento, or of a project, and return its service; LoadFailure.

    As with `bentoml serve`, the working folder becomes that of the sources.
    """
    try:
        import bentoml  # type: ignore[import-not-found]  # noqa: F401  # not a dependency
        from _bentoml_impl.loader import load  # type: ignore[import-not-found]  # as above
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f"bentoml is not in the environment ({error}); install bentoml",
        ) from None
    if not folder.is_dir():
        raise LoadFailure("ModelMissing", f'"{folder}" is no folder; give the folder of a Bento')
    _validate_contents(folder, target)
    _set_metrics()
    try:
        declared = load(target or str(folder), working_dir=str(folder), standalone_load=True)
    except (Exception, SystemExit) as error:
        raise LoadFailure(
            "ModelLoadFailed",
            f'the service of "{folder}" cannot be imported: {type(error).__name__}: {error}; mend '
            "it, or add what it imports to the requirements",
        ) from error
    _validate_kind(declared, folder)
    set_variables(declared.envs, os.environ)
    _tell_context(declared)
    return Service(declared)


def _validate_contents(folder: Path, target: str) -> None:
    signs = ("bento.yaml", "bentofile.yaml", "pyproject.toml", "service.py")
    if target or any((folder / name).is_file() for name in signs):
        return
    found = ", ".join(sorted(os.listdir(folder))[:5]) or "nothing"  # noqa: PTH208  # names only
    raise LoadFailure(
        "ModelMissing",
        f'"{folder}" holds no Bento ({found}); give a folder with bento.yaml, bentofile.yaml or '
        "service.py",
    )


def _validate_kind(declared: Any, folder: Path) -> None:
    from _bentoml_sdk import Service as Declared  # type: ignore[import-not-found]  # as above

    if not isinstance(declared, Declared):
        raise LoadFailure(
            "ModelIncompatible",
            f'the service of "{folder}" is one of BentoML before 1.2 ({type(declared).__name__}); '
            'declare it as a class with "@bentoml.service"',
        )


def set_variables(wanted: Any, environ: MutableMapping[str, str]) -> None:
    """Set the variables that a service asks for; LoadFailure where one has no value."""
    for variable in wanted:
        if variable.stage == "build" or variable.name in environ:
            continue
        if not variable.value:
            raise LoadFailure(
                "ModelLoadFailed",
                f'the service asks for the variable "{variable.name}", which is not set; set it in '
                "the container's env, or give it a value in the service",
            )
        environ[variable.name] = variable.value


def _set_metrics() -> None:
    """Have metrics kept in this process alone: theirs are shared by several through files."""
    from bentoml._internal.container import (  # type: ignore[import-not-found]  # not a dependency
        BentoMLContainer,
    )
    from bentoml._internal.server.metrics.prometheus import (  # type: ignore[import-not-found]  # as above
        PrometheusClient,
    )

    BentoMLContainer.metrics_client.set(PrometheusClient(multiproc=False))


def _tell_context(declared: Any) -> None:
    """Tell BentoML who serves, as its worker does: logs, metrics and monitoring name it."""
    from bentoml._internal.container import BentoMLContainer
    from bentoml._internal.context import (  # type: ignore[import-not-found]  # as above
        server_context,
    )

    BentoMLContainer.development_mode.set(False)
    server_context.service_type = "entry_service"
    server_context.service_name = declared.name
    server_context.service_routes = [api.route for api in declared.apis.values()]
    tag = declared.bento.tag if declared.bento is not None else None
    server_context.bento_name = tag.name if tag else declared.name
    server_context.bento_version = (tag.version if tag else None) or "not available"
