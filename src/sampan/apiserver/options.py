"""The query parameters of each verb as values: what a caller asks for besides the object. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sampan.machinery.errors import BadRequest
from sampan.machinery.propagation import Propagation
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import ListOptions, Preconditions

FIELD_VALIDATIONS = ("Strict", "Warn", "Ignore")
PROPAGATION_POLICIES = tuple(Propagation)
MAX_FIELD_MANAGER = 128
_TRUE, _FALSE = (
    ("true", "1", "t", "T", "TRUE", "True"),
    ("false", "0", "", "f", "F", "FALSE", "False"),
)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Of create, update and patch. `field_manager` empty: none was named."""

    dry_run: bool = False
    field_validation: str = "Warn"
    field_manager: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """Of delete."""

    dry_run: bool = False
    propagation_policy: Propagation = Propagation.BACKGROUND
    preconditions: Preconditions = Preconditions()


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Of a watch; selectors are in `ListOptions`. `timeout` 0: the server's own.

    `since` empty starts with ADDED for all that is there, unless `from_now`.
    """

    since: str = ""
    from_now: bool = False
    bookmarks: bool = False
    initial_events: bool = False
    timeout: float = 0.0


def parse_write_options(query: Mapping[str, str], agent: str) -> WriteOptions:
    """Return the options of a write; raise BadRequest naming the parameter.

    As upstream, a client that names no field manager is known by the first part of its
    `User-Agent` (`kubectl-edit`, `python-requests`).
    """
    validation = query.get("fieldValidation") or "Warn"
    if validation not in FIELD_VALIDATIONS:
        raise _unsupported("fieldValidation", validation, FIELD_VALIDATIONS)
    manager = query.get("fieldManager", "")
    if len(manager) > MAX_FIELD_MANAGER or not manager.isprintable():
        raise BadRequest(
            f'fieldManager: Invalid value: "{manager[:40]}": at most {MAX_FIELD_MANAGER} '
            "printable characters"
        )
    return WriteOptions(
        dry_run=parse_dry_run(query.get("dryRun", "")),
        field_validation=validation,
        field_manager=manager or agent.partition("/")[0].partition(" ")[0][:MAX_FIELD_MANAGER],
        force=parse_flag(query, "force"),
    )


def parse_list_options(query: Mapping[str, str]) -> ListOptions:
    """Return the options of a list; raise BadRequest naming the parameter."""
    return ListOptions(
        limit=int(parse_number(query, "limit")),
        continue_token=query.get("continue", ""),
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
    )


def parse_watch_request(query: Mapping[str, str]) -> WatchRequest:
    """Return the options of a watch; raise BadRequest naming the parameter.

    `sendInitialEvents` (KEP-3157) insists on `resourceVersionMatch=NotOlderThan`, as upstream.
    """
    initial = query.get("sendInitialEvents")
    match = query.get("resourceVersionMatch", "")
    if match and initial is None:
        raise BadRequest(
            f'resourceVersionMatch: Forbidden: "{match}" is for lists, or for a watch with '
            "sendInitialEvents"
        )
    if initial is not None and match != "NotOlderThan":
        raise BadRequest(
            f'sendInitialEvents needs resourceVersionMatch=NotOlderThan; it was "{match}"'
        )
    wanted = parse_flag(query, "sendInitialEvents")
    # "0" and "" both mean: any state that is there (API concepts, "Semantics for watch").
    version = "" if wanted else query.get("resourceVersion", "")
    return WatchRequest(
        since="" if version == "0" else version,
        from_now=initial is not None and not wanted and version in ("", "0"),
        bookmarks=parse_flag(query, "allowWatchBookmarks"),
        initial_events=wanted,
        timeout=parse_number(query, "timeoutSeconds"),
    )


def parse_delete_options(query: Mapping[str, str], body: JsonObject) -> DeleteOptions:
    """Return the options of a delete, from the body's DeleteOptions and the query.

    `gracePeriodSeconds` is checked; as upstream it means nothing for kinds other than pods.
    """
    policy = str(body.get("propagationPolicy") or query.get("propagationPolicy") or "")
    orphan = body.get("orphanDependents", query.get("orphanDependents"))
    if orphan is not None and not policy:
        policy = "Orphan" if str(orphan).lower() == "true" else "Background"
    if policy and policy not in PROPAGATION_POLICIES:
        raise _unsupported("propagationPolicy", policy, PROPAGATION_POLICIES)
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    if grace is not None and not str(grace).lstrip("-").isdigit():
        raise BadRequest(f'gracePeriodSeconds: Invalid value: "{grace}": whole seconds')
    wanted = body.get("preconditions") or {}
    if not isinstance(wanted, dict):
        raise BadRequest("preconditions: an object with uid or resourceVersion is expected")
    dry_run = body.get("dryRun") or query.get("dryRun", "")
    return DeleteOptions(
        dry_run=parse_dry_run(dry_run[0] if isinstance(dry_run, list) else str(dry_run)),
        propagation_policy=Propagation(policy or Propagation.BACKGROUND),
        preconditions=Preconditions(wanted.get("uid"), wanted.get("resourceVersion")),
    )


def parse_dry_run(value: str) -> bool:
    """Return whether nothing may be stored; `All` is the only value there is."""
    if value not in ("", "All"):
        raise _unsupported("dryRun", value, ("All",))
    return value == "All"


def parse_flag(query: Mapping[str, str], name: str) -> bool:
    """Return a boolean parameter, false where it is not given."""
    value = query.get(name, "")
    if value not in _TRUE and value not in _FALSE:
        raise BadRequest(f'{name}: Invalid value: "{value}": use true or false')
    return value in _TRUE


def parse_number(query: Mapping[str, str], name: str) -> float:
    """Return a whole, non-negative parameter, 0 where it is not given."""
    value = query.get(name, "")
    if value and not (value.isascii() and value.isdigit() and len(value) < 16):
        raise BadRequest(f'{name}: Invalid value: "{value}": use a whole number, 0 or more')
    return int(value or 0)


def _unsupported(name: str, value: str, known: Iterable[str]) -> BadRequest:
    listed = ", ".join(f'"{k}"' for k in known)
    return BadRequest(f'{name}: Unsupported value: "{value}": supported values: {listed}')
