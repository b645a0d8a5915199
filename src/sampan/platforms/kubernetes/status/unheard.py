"""When a status is worth writing: not while nobody can have said anything of what was just made.

A Deployment has a status some milliseconds after it was made. A status of its service that is
written before says that nothing is known, and is written again at once: with ten new services a
second that is a third of the writes about them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import seconds
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, HTTP_ROUTES, KNATIVE_SERVICES, kind_of

MOST_SECONDS = 2.0
"""After which a status is written all the same: a controller may be away, or slow. Times of
creation are whole seconds, so that it is one second at least."""

_TOLD_OF = frozenset({DEPLOYMENTS.id, KNATIVE_SERVICES.id, HTTP_ROUTES.id})
"""Kinds whose controllers write a status that a service's status is made of."""


def wait_for_word(children: Iterable[JsonObject], now: float) -> float:
    """Return until when to wait for word of what was just made, in seconds since the epoch; 0.0
    where there is nothing to wait for.

    A clock that is not the API server's makes it wait less, or not at all.
    """
    ends = (_created(obj) + MOST_SECONDS for obj in children if _is_unheard(obj))
    return max((end for end in ends if now < end <= now + MOST_SECONDS), default=0.0)


def _is_unheard(obj: JsonObject) -> bool:
    return kind_of(obj).resource.id in _TOLD_OF and not obj.get("status")


def _created(obj: JsonObject) -> float:
    return seconds(str(obj["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z"))
