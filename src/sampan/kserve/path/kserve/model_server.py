"""The server, and the command line that KServe reads when this module is imported."""

from typing import Any

from sampan.sdk.arguments import make_parser
from sampan.sdk.model_server import ModelServer

__all__ = ["ModelServer", "parser", "args", "app"]

parser = make_parser()
args, _ = parser.parse_known_args()
app: Any
"""A FastAPI application for routes and middleware of one's own, made when it is asked for."""


def __getattr__(name: str) -> object:
    if name == "app":
        from sampan.sdk.user_app import get_app

        return get_app()
    raise AttributeError(f"module 'kserve.model_server' has no attribute {name!r}")
