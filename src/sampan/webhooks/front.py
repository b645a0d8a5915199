"""The webhooks' HTTP: which path asks what, one task a question, and how long it may take."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import orjson

from sampan.machinery.errors import ApiError, MethodNotAllowed, NotFound
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store import Key
from sampan.webhooks.conversion import convert_review
from sampan.webhooks.judging import CONFIGURATION, Judge, Reads, Warn
from sampan.webhooks.paths import CONVERT, JUDGED, MUTATE_PODS, mutate_path, validate_path
from sampan.webhooks.pods import PodMutator
from sampan.webhooks.review import Asked, make_refused, read_review
from sampan.wire.message import Reply, Request, Response

log = logging.getLogger(__name__)

ANSWER_SECONDS = 9.0
"""An API server waits 10 s by default, and then says less than we can."""

Judgement = Callable[[Asked], Awaitable[JsonObject]]


class Overdue(ApiError):
    """What a verdict needs to know could not be read in time."""

    code, reason = 504, "Timeout"


class Front:
    """Answers reviews. `took` is told path and seconds of each, for metrics."""

    def __init__(self, judgements: Mapping[str, Judgement], registry: Registry) -> None:
        self._judgements = judgements
        self._registry = registry
        self._tasks: set[asyncio.Task[None]] = set()
        self.took: Callable[[str, float], None] = lambda _path, _seconds: None

    def submit(self, request: Request, reply: Reply) -> None:
        """Take a request of the wire; the answer comes from a task."""
        task = asyncio.get_running_loop().create_task(self._answer(request, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request, reply: Reply) -> None:
        began = time.monotonic()
        path = urlsplit(request.target.decode("latin-1")).path
        try:
            answer = await self._review(path, request)
        except ApiError as error:
            reply(Response(error.code, orjson.dumps(error.status())))
        except Exception:
            log.exception("a mistake of the webhook at %s", path)
            mistake = ApiError(f"a mistake of the webhook at {path}; its log has the details")
            reply(Response(500, orjson.dumps(mistake.status())))
        else:
            reply(Response(200, orjson.dumps(answer)))
        known = path == CONVERT or path in self._judgements
        self.took(path if known else "other", time.monotonic() - began)

    async def _review(self, path: str, request: Request) -> JsonObject:
        if path == CONVERT:
            return convert_review(_body(request), self._registry)
        judgement = self._judgements.get(path)
        if judgement is None:
            raise NotFound(f'no webhook is served at "{path}"')
        asked = read_review(_body(request))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await judgement(asked)
        except TimeoutError:
            text = f"what a verdict needs could not be read within {ANSWER_SECONDS:g} seconds"
            return make_refused(asked, Overdue(f"{text}; try again"))
        except ApiError as error:  # the cluster cannot be read: the writer is told why
            return make_refused(asked, error)


def _body(request: Request) -> bytes:
    if request.method != b"POST":
        method = request.method.decode("latin-1")
        raise MethodNotAllowed(f"{method} is not answered here; API servers POST reviews")
    return request.body


def make_judgements(
    registry: Registry, store: Reads, warn: Warn, configuration: Key = CONFIGURATION
) -> dict[str, Judgement]:
    """Return who answers at which path. `configuration`: where `inferenceservice-config` lies."""
    found: dict[str, Judgement] = {MUTATE_PODS: PodMutator(store, configuration).mutate}
    for resource in registry:
        for version in (resource, *(older.resource for older in resource.older)):
            if resource.id in JUDGED:
                judge = Judge(version, store, warn, configuration)
                found[mutate_path(version)] = judge.mutate
                found[validate_path(version)] = judge.validate
    return found
