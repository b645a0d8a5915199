"""KServe's `kserve.model_server.app`: a FastAPI application that a model file may add to.

It is made when a file first asks for it. The server's routes are then mounted at its end, so that
the file's routes come first and its middleware sees every request, as with KServe. A file that
does not ask for it pays nothing.
"""

from __future__ import annotations

from typing import Any

from sampan.app.serve_extensions import Extensions
from sampan.wire.asgi import AsgiApp

_apps: list[Any] = []


def get_app() -> Any:
    """Return the process's FastAPI application; ImportError where FastAPI is not installed."""
    if not _apps:
        try:
            from fastapi import FastAPI
        except ImportError as error:
            raise ImportError(
                'kserve.model_server.app needs the module "fastapi"; install fastapi, or give '
                "ModelServer(app=...) an ASGI application of your own"
            ) from error
        # The server has /docs and /openapi.json itself, of the models.
        _apps.append(FastAPI(docs_url=None, redoc_url=None, openapi_url=None))
    return _apps[0]


def take_extensions() -> Extensions | None:
    """Return the application as the server's outermost part; None where nobody asked for it."""
    if not _apps:
        return None

    def wrap(server: AsgiApp) -> AsgiApp:
        app = _apps[0]
        app.mount("", server)
        wrapped: AsgiApp = app
        return wrapped

    return Extensions(middleware=(wrap,))
