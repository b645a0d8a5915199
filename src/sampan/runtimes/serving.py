"""How a runtime that stands for a whole server is asked to make what it serves. Plain values.

`Runtime.arguments` names a function from that server's arguments to ours; `Runtime.server` one from
an `Order` to an `Offer`. What a native argument has no name for travels as an option.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.server.repository import ModelRepository
from sampan.server.workers import Workers


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: a folder, the name for a lone model, and the foreign server's options."""

    model_name: str
    folder: Path
    trust: bool = False
    allowed: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is served. `api` has `routes` (`server.rest.Api`) and `methods` (`server.grpc.Api`).

    `app` is an ASGI application for paths that no route has.
    `strict`: a model that does not load at the start ends the server, however many others do.
    `beside` goes on while the server serves, until it is cancelled: looking for new versions, say.
    """

    repository: ModelRepository
    api: Any = None
    strict: bool = False
    app: Any = None
    beside: Callable[[Workers], Coroutine[Any, Any, None]] | None = None


@dataclass(frozen=True, slots=True)
class Translated:
    """A foreign command line in our arguments, with a sentence for each that has no effect."""

    argv: tuple[str, ...]
    warnings: tuple[str, ...] = ()
