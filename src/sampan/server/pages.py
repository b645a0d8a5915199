"""The OpenAPI document and the page that shows it, as responses."""

from __future__ import annotations

from pathlib import Path

import orjson

from sampan import __version__
from sampan.server.openapi import Described, build_document
from sampan.server.repository import ModelRepository
from sampan.wire.message import Response

_POLICY = (
    b"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The page holds its script and style itself and fetches from nowhere else."""


def make_openapi(repository: ModelRepository) -> Response:
    """Return the document of what is loaded now."""
    models = []
    for name in repository.names():
        model = repository.get(name).model
        models.append(Described(name, model.get_input_types(), model.get_output_types()))
    return Response(200, orjson.dumps(build_document(models, __version__)))


def make_docs() -> Response:
    """Return the page. It is read once, when the server starts."""
    page = Path(__file__).with_name("docs.html").read_bytes()
    headers = ((b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff"))
    return Response(200, page, b"text/html; charset=utf-8", headers)
