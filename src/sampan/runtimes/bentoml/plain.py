"""Which APIs need nothing of BentoML's application, and why another does."""

from __future__ import annotations

import inspect
from typing import Any


def select_reason(declared: Any, method: Any, *, cors: bool) -> str:
    """Return why BentoML's own application answers an API; empty where it is plain.

    Plain is what takes JSON and gives one value, and whose answer depends on its arguments alone.
    """
    checks = (
        (declared.middlewares, "the service has middlewares"),
        (cors, "answers carry headers for other origins"),
        (declared.config.get("traffic", {}).get("max_concurrency"), "max_concurrency bounds it"),
        (declared.has_custom_command(), "the service is a program of its own"),
        (method.ctx_param, "it asks for the context of its request"),
        (method.is_stream, "it streams"),
        (method.is_task, "it is a task"),
        (method.input_spec.multipart_fields, "it takes files"),
    )
    return next((why for holds, why in checks if holds), "")


def is_async(method: Any) -> bool:
    """Whether an API is awaited: a coroutine, or one whose calls BentoML gathers in batches."""
    from bentoml._internal.utils import (  # type: ignore[import-not-found]  # not a dependency
        get_original_func,
    )

    return bool(method.batchable) or inspect.iscoroutinefunction(get_original_func(method.func))
