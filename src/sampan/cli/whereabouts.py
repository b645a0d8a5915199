"""Where an object that was not found may be: under a near name, or in another namespace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sampan.machinery.suggest import did_you_mean

_NAMED = re.compile(
    r"(?P<root>/apis?/.+?)/namespaces/(?P<space>[^/]+)/(?P<plural>[^/]+)/(?P<name>[^/]+)"
)

Place = tuple[str, str]
"""Namespace and name."""


def find_whereabouts(get: Callable[[str], dict[str, Any]], path: str) -> str:
    """Return the end of a message for the object of a REST path, or "" where nothing is near.

    `get` answers a path with its JSON; whatever it raises goes to the caller.
    """
    found = _NAMED.match(path)
    if found is None:
        return ""
    items = get(f"{found['root']}/{found['plural']}").get("items", ())
    known = [(i["metadata"].get("namespace", ""), i["metadata"]["name"]) for i in items]
    return make_whereabouts((found["space"], found["name"]), known)


def make_whereabouts(asked: Place, known: Iterable[Place]) -> str:
    """Return where the asked one may be. The same name elsewhere comes before a near one here."""
    known = list(known)
    elsewhere = sorted(space for space, name in known if name == asked[1])
    if elsewhere:
        return f'; there is one in the namespace "{elsewhere[0]}": -n {elsewhere[0]}'
    return did_you_mean(asked[1], sorted(name for space, name in known if space == asked[0]))
