"""Who did what and when: one line of JSON a request, as Kubernetes's audit log (`audit.k8s.io/v1`).

The level is Metadata: never a body, and of a refusal its code and reason only, since its text may
repeat a value. Written are changes, refusals of access and reads of Secrets; reads too if asked.
"""

from __future__ import annotations

import logging
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import orjson

from sampan.apiserver.identity import User
from sampan.apiserver.messages import Reply, Request
from sampan.apiserver.options import parse_flag
from sampan.apiserver.route import Route, parse_route
from sampan.apiserver.verbs import COLLECTION, OBJECT
from sampan.machinery.errors import BadRequest
from sampan.machinery.registry import JsonObject

log = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024
KEPT_FILES = 3
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
REVIEWED = ("authentication.k8s.io", "authorization.k8s.io")
"""Groups whose creates are questions: nothing is changed by them."""


class AuditPolicy(StrEnum):
    """Which requests are written."""

    WRITES = "writes"
    ALL = "all"
    NONE = "none"


@dataclass(slots=True)
class AuditFile:
    """A file of lines, 0600, that starts anew at a size; the latest old ones are kept.

    A line that cannot be written is told in the log of the server, and the request goes on.
    """

    path: Path
    max_bytes: int = MAX_BYTES
    kept: int = KEPT_FILES
    _failing: bool = False

    def append(self, line: bytes) -> None:
        """Write one line at the end."""
        try:
            self._rotate()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self.path, flags, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            if not self._failing:
                log.warning('"%s" cannot be written (%s): requests go unrecorded', self.path, error)
            self._failing = True
        else:
            self._failing = False

    def _rotate(self) -> None:
        try:
            full = self.path.stat().st_size >= self.max_bytes
        except FileNotFoundError:
            return
        if not full:
            return
        for number in range(self.kept - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Writes what the policy selects."""

    file: AuditFile
    policy: AuditPolicy = AuditPolicy.WRITES

    def record(self, exchange: Exchange) -> None:
        """Write one request and its answer, if it is one that is written."""
        if is_recorded(self.policy, exchange):
            self.file.append(orjson.dumps(make_event(exchange, str(uuid.uuid4()))) + b"\n")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, who sent it, and its answer, with the times of both."""

    request: Request
    user: User
    reply: Reply
    received: float
    answered: float
    route: Route | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "route", parse_route(self.request.path))

    @property
    def verb(self) -> str:
        """The Kubernetes verb; the method in small letters for a path that names no resource."""
        method, route = self.request.method, self.route
        if route is None:
            return method.lower()
        verb = (OBJECT if route.name else COLLECTION).get(method, method.lower())
        if route.subresource and method == "POST":
            return "create"
        return "watch" if verb == "list" and _watches(self.request) else verb


def is_recorded(policy: AuditPolicy, exchange: Exchange) -> bool:
    """Whether a request is written under a policy. Pure."""
    if policy is AuditPolicy.NONE:
        return False
    route = exchange.route
    if policy is AuditPolicy.ALL or exchange.reply.code in REFUSALS:
        return True
    if route is None:
        return False
    return route.plural == "secrets" or (
        exchange.request.method not in ("GET", "HEAD") and route.group not in REVIEWED
    )


def make_event(exchange: Exchange, audit_id: str) -> JsonObject:
    """Return the audit event of a request. Pure."""
    request, user, route = exchange.request, exchange.user, exchange.route
    query = f"?{urlencode(request.query)}" if request.query else ""
    event: JsonObject = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": request.path + query,
        "verb": exchange.verb,
        "user": {"username": user.impersonator} if user.impersonator else user.info(),
        "sourceIPs": ["127.0.0.1"],
        "userAgent": request.header("user-agent"),
        "responseStatus": _status(exchange.reply),
        "requestReceivedTimestamp": _micro(exchange.received),
        "stageTimestamp": _micro(exchange.answered),
    }
    if user.impersonator:
        event["impersonatedUser"] = user.info()
    if route is not None:
        event["objectRef"] = _reference(route)
    return event


def _reference(route: Route) -> JsonObject:
    named = {
        "resource": route.plural,
        "namespace": route.namespace,
        "name": route.name,
        "apiGroup": route.group,
        "apiVersion": route.version,
        "subresource": route.subresource,
    }
    return {key: value for key, value in named.items() if value}


def _status(reply: Reply) -> JsonObject:
    status: JsonObject = {"metadata": {}, "code": int(reply.code)}
    if reply.code < HTTPStatus.BAD_REQUEST:
        return status
    with suppress(orjson.JSONDecodeError):
        status["reason"] = orjson.loads(reply.body).get("reason", "")
    return {**status, "status": "Failure"}


def _watches(request: Request) -> bool:
    try:
        return parse_flag(request.query, "watch")
    except BadRequest:
        return False


def _micro(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
