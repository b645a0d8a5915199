"""What an explainer declares of itself, and what it is told of its predictor. Plain values."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from sampan.runtimes.declaration import SERVER_PRELOAD
from sampan.server.model import Model


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom an explainer asks, and within which limits.

    `host` is the predictor's `host:port`, `protocol` `v1` or `v2`. At most `batch_size` rows are
    asked at a time; `call_seconds` is the longest wait for an answer, `explain_seconds` that for
    a whole explanation. `input_name` is that of the
    predictor's tensor in V2; "": as its metadata say.
    """

    host: str
    protocol: str = "v1"
    scheme: str = "http"
    batch_size: int = 256
    call_seconds: float = 600.0
    explain_seconds: float = 300.0
    input_name: str = ""


@dataclass(frozen=True, slots=True)
class Explainer:
    """An explainer.

    `images` are the container images it stands for, without registry and tag. `add_arguments` adds
    its own arguments to a parser, `make` makes its model of the name, the predictor and them.
    `arguments` are always given, before the container's.
    """

    name: str
    images: tuple[str, ...]
    requirements: tuple[str, ...]
    package: str
    add_arguments: Callable[[ArgumentParser], None]
    make: Callable[[str, Asked, Namespace], Model]
    arguments: tuple[str, ...] = ()
    preload: tuple[str, ...] = (*SERVER_PRELOAD, "sampan.app.explain")
