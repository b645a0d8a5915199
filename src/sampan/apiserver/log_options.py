"""The query parameters of a pod's log (Kubernetes `PodLogOptions`). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.apiserver.options import parse_flag, parse_number
from sampan.apiserver.replicas import LogOptions
from sampan.machinery.errors import BadRequest
from sampan.machinery.timestamps import seconds


def parse_log_options(query: Mapping[str, str], now: float) -> LogOptions:
    """Return the options; raise BadRequest naming the parameter.

    A `tailLines` below zero means all lines, as `kubectl logs --tail=-1` does.
    """
    since_seconds, since_time = query.get("sinceSeconds"), query.get("sinceTime")
    if since_seconds is not None and since_time is not None:
        raise BadRequest("sinceSeconds: Forbidden: at most one of sinceTime or sinceSeconds")
    if query.get("stream", "All") != "All":
        raise BadRequest(
            f'stream: Unsupported value: "{query["stream"]}": the log of a replica holds both '
            'streams in one; supported values: "All"'
        )
    since = _since_time(since_time) if since_time else 0.0
    if since_seconds is not None:
        since = now - parse_number(query, "sinceSeconds")
    tail = "" if query.get("tailLines", "").startswith("-") else query.get("tailLines", "")
    limit = query.get("limitBytes", "")
    return LogOptions(
        container=query.get("container", ""),
        follow=parse_flag(query, "follow"),
        previous=parse_flag(query, "previous"),
        timestamps=parse_flag(query, "timestamps"),
        since=since,
        tail_lines=int(parse_number({"tailLines": tail}, "tailLines")) if tail else None,
        limit_bytes=int(parse_number(query, "limitBytes")) if limit else None,
    )


def _since_time(value: str) -> float:
    try:
        return seconds(value)
    except ValueError:
        raise BadRequest(
            f'sinceTime: Invalid value: "{value}": use RFC 3339, as 2026-01-31T12:00:00Z'
        ) from None
