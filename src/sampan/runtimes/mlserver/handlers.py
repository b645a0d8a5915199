"""Paths that a project's models answer themselves (`mlserver.handlers.custom_handler`)."""

from __future__ import annotations

from typing import Any

from sampan.runtimes.mlserver.custom import CustomModel
from sampan.server.repository import ModelRepository


class HandlersApp:
    """An ASGI application of the handlers of the models that are loaded now."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._made_of: list[Any] = []
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or start and stop with nothing to do."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await self._current()(scope, receive, send)

    def _current(self) -> Any:
        """Return the application of the models as they are; made anew when they change."""
        models = [self._repository.get(name).model for name in self._repository.names()]
        loaded = [m.loaded for m in models if isinstance(m, CustomModel) and m.ready]
        if self._app is None or loaded != self._made_of:
            self._app, self._made_of = _make_app(loaded), loaded
        return self._app


def _make_app(models: list[Any]) -> Any:
    from fastapi import FastAPI  # comes with mlserver
    from mlserver.handlers.custom import (  # type: ignore[import-not-found]  # not a dependency
        get_custom_handlers,
    )

    app = FastAPI(openapi_url=None)
    for model in models:
        for handler, method in get_custom_handlers(model):
            app.add_api_route(handler.rest_path, method, methods=[handler.rest_method])
    return app


async def _live(receive: Any, send: Any) -> None:
    """Say yes to start and end (ASGI, "Lifespan Protocol")."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
