"""The access log: one line a request, by a format of `%(atom)s` as gunicorn's, or as JSON."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from sampan.wire.message import Response

if TYPE_CHECKING:
    from sampan.server.exchange import Exchange

logger = logging.getLogger("sampan.access")

JSON = "json"
_ATOM = re.compile(r"%\((?P<atom>[^)]*)\)s")
_HEADER = re.compile(r"\{(?P<name>[!-~]+)\}(?P<side>[io])")


def _model(exchange: Exchange, _: Response) -> object:
    return "-" if exchange.inference is None else exchange.inference.model_name


def _path(exchange: Exchange, _: Response) -> object:
    return _clean(exchange.request.target.partition(b"?")[0])


def _query(exchange: Exchange, _: Response) -> object:
    return _clean(exchange.request.target.partition(b"?")[2])


_ATOMS: dict[str, Callable[[Exchange, Response], object]] = {
    "t": lambda *_: time.strftime("[%d/%b/%Y:%H:%M:%S %z]"),
    "m": lambda exchange, _: exchange.request.method.decode("latin-1"),
    "U": _path,
    "q": _query,
    "r": lambda exchange, _: _clean(exchange.request.method + b" " + exchange.request.target),
    "s": lambda _, response: response.status,
    "B": lambda exchange, _: exchange.sent,
    "b": lambda exchange, _: exchange.sent or "-",
    "L": lambda exchange, _: f"{perf_counter() - exchange.begun:.6f}",
    "D": lambda exchange, _: round((perf_counter() - exchange.begun) * 1e6),
    "f": lambda exchange, _: _header(exchange, "referer"),
    "a": lambda exchange, _: _header(exchange, "user-agent"),
    "id": lambda exchange, _: exchange.request_id.decode("latin-1"),
    "model": _model,
}


class AccessLog:
    """Writes lines to standard output. `ValueError` for a format with an atom that is not known."""

    def __init__(self, line_format: str) -> None:
        self._format: str | None = None
        if line_format != JSON:
            self._atoms = validate_format(line_format)
            self._format = line_format
        logger.handlers = [_handler()]
        logger.propagate = False
        logger.setLevel(logging.INFO)

    def write(self, exchange: Exchange, response: Response) -> None:
        """Write the line of an exchange that is over."""
        if self._format is None:
            logger.info("%s", orjson.dumps(_record(exchange, response)).decode())
        else:
            values = {atom: _value(atom, exchange, response) for atom in self._atoms}
            logger.info("%s", self._format % values)


def validate_format(line_format: str) -> list[str]:
    """Return the atoms of a format; ValueError for one that is not known, or a stray percent."""
    atoms = [match["atom"] for match in _ATOM.finditer(line_format)]
    for atom in atoms:
        if atom not in _ATOMS and _HEADER.fullmatch(atom) is None:
            raise ValueError(
                f'access log format has "%({atom})s"; use "json", or atoms out of '
                f"{', '.join(_ATOMS)}, {{header}}i, {{header}}o"
            )
    if "%" in _ATOM.sub("", line_format):
        raise ValueError(
            f'access log format "{line_format}" has a percent sign outside of an atom; '
            "write atoms as %(m)s"
        )
    return atoms


def _handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def _value(atom: str, exchange: Exchange, response: Response) -> object:
    known = _ATOMS.get(atom)
    if known is not None:
        return known(exchange, response)
    name, side = atom[1:-2].lower(), atom[-1]
    if side == "i":
        return _header(exchange, name)
    wanted = name.encode("latin-1")
    if wanted == b"content-type" and response.content_type:
        return _clean(response.content_type)
    found = response.field(wanted)
    return "-" if found is None else _clean(found)


def _record(exchange: Exchange, response: Response) -> dict[str, Any]:
    record: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "request_id": exchange.request_id.decode("latin-1"),
        "method": exchange.request.method.decode("latin-1"),
        "path": _path(exchange, response),
        "status": response.status,
        "bytes": exchange.sent,
        "seconds": round(perf_counter() - exchange.begun, 6),
    }
    code = response.field(b"grpc-status")
    if code is not None:
        record["grpc_status"] = int(code)
    if exchange.inference is not None:
        record["model"] = exchange.inference.model_name
    for phase, seconds in exchange.phases():
        record[f"{phase}_seconds"] = round(seconds, 6)
    return record


def _header(exchange: Exchange, name: str) -> str:
    value = exchange.request.header(name.encode("latin-1"))
    return "-" if value is None else _clean(value)


def _clean(value: bytes) -> str:
    """Return text that stays on its line, whatever a client sent."""
    text = value.decode("latin-1")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
