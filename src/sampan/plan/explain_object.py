"""Why an object is, or is not, in order: any kind, from what it names and who names it. Pure.

An InferenceService has a chain of its own (`sampan.plan.explain`). Every other kind is looked at
the same way: is it switched off, is what it names there and Ready, what do its conditions say, and
who depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.api.named_objects import Named
from sampan.plan.chain import ChainLink
from sampan.plan.conditions import condition_status
from sampan.plan.observed import Link, LinkState

READY = "Ready"
REFERENCE_NOT_FOUND = "ReferenceNotFound"
RUNTIME_DISABLED = "RuntimeDisabled"
_STATES = {"True": LinkState.DONE, "False": LinkState.FAILED}
_QUIET = frozenset({"Info", "Warning"})
"""Severities of conditions that are for information, and keep nothing from being Ready."""
_SHOWN = 5
"""Users that are named; of more the number is told."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another object by kind and name; `obj` None: there is none."""

    named: Named
    obj: Mapping[str, Any] | None


def explain_object(
    obj: Mapping[str, Any], names: Sequence[Neighbour], users: Sequence[Neighbour]
) -> tuple[ChainLink, ...]:
    """Return what is known of an object, in the order in which it is worth reading.

    `names` are the objects that it names, `users` those that name it.
    """
    return (
        *_switched_off(obj),
        *(_name_link(neighbour) for neighbour in names),
        *_condition_links(obj),
        *_used_by(users, _namespace(obj)),
    )


def is_in_order(obj: Mapping[str, Any], links: Sequence[ChainLink]) -> bool:
    """Return whether it is Ready, or for a kind without that condition, whether no link fails."""
    told = _ready(obj)
    return told == "True" if told else all(link.state is not LinkState.FAILED for link in links)


def _ready(obj: Mapping[str, Any]) -> str:
    status = obj.get("status") or {}
    types = {c.get("type") for c in status.get("conditions") or ()}
    return str(condition_status(status, READY)) if READY in types else ""


def _switched_off(obj: Mapping[str, Any]) -> Iterator[ChainLink]:
    if (obj.get("spec") or {}).get("disabled") or obj.get("disabled"):
        message = "disabled is true, so nothing is given to it"
        yield ChainLink("enabled", Link(LinkState.FAILED, RUNTIME_DISABLED, message))


def _name_link(neighbour: Neighbour) -> ChainLink:
    kind, name = neighbour.named.kind, neighbour.named.name
    title = f'{kind} "{name}"'
    if neighbour.obj is None:
        message = f"{title} is named and is not there"
        return ChainLink("names", Link(LinkState.FAILED, REFERENCE_NOT_FOUND, message))
    ready = _ready(neighbour.obj)
    if not ready:
        return ChainLink("names", Link(LinkState.DONE, message=f"{title} is there"))
    state = _STATES.get(ready, LinkState.RUNNING)
    if state is LinkState.DONE:
        return ChainLink("names", Link(state, message=f"{title} is Ready"))
    told = _condition(neighbour.obj, READY)
    said = told.get("message") or told.get("reason") or "it says no more"
    link = Link(state, str(told.get("reason") or ""), f"{title} is not Ready: {said}")
    return ChainLink("names", link)


def _condition(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


def _condition_links(obj: Mapping[str, Any]) -> Iterator[ChainLink]:
    """Yield the conditions that count, Ready last."""
    conditions = [
        c
        for c in (obj.get("status") or {}).get("conditions") or ()
        if c.get("severity") not in _QUIET
    ]
    for one in sorted(conditions, key=lambda c: c.get("type") == READY):
        state = _STATES.get(str(one.get("status")), LinkState.RUNNING)
        link = Link(state, str(one.get("reason") or ""), str(one.get("message") or ""))
        yield ChainLink(str(one.get("type", "")), link)


def _namespace(obj: Mapping[str, Any]) -> str:
    return str((obj.get("metadata") or {}).get("namespace") or "")


def _used_by(users: Sequence[Neighbour], namespace: str) -> Iterator[ChainLink]:
    if not users:
        yield ChainLink("used by", Link(LinkState.DONE, message="nothing names it"))
        return
    shown = [_user(user, namespace) for user in users[:_SHOWN]]
    more = [f"{len(users) - _SHOWN} more"] if len(users) > _SHOWN else []
    yield ChainLink("used by", Link(LinkState.DONE, message=", ".join([*shown, *more])))


def _user(user: Neighbour, namespace: str) -> str:
    """Return a user with its namespace where that is not the object's own."""
    own = _namespace(user.obj or {})
    place = f"{own}/" if own != namespace else ""
    title = f'{user.named.kind} "{place}{user.named.name}"'
    ready = _ready(user.obj or {})
    told = {"True": "Ready", "": ""}.get(ready, "not Ready")
    return f"{title} ({told})" if told else title
