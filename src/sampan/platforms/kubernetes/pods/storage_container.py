"""Which ClusterStorageContainer fetches a URI.

KServe, storage containers: the one that the service names, which must fit, else the first that fits
in the order of the list; its container is merged over the built-in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sampan.machinery.errors import Forbidden

INIT_CONTAINER = "initContainer"


def select_storage_container(
    uri: str, containers: Sequence[Mapping[str, Any]], named: str = ""
) -> Mapping[str, Any] | None:
    """Return the ClusterStorageContainer for a URI, None for the built-in one; raise Forbidden."""
    if not named:
        fitting = (c for c in containers if _problem(c, uri) is None)
        return next(fitting, None)
    found = next((c for c in containers if c["metadata"]["name"] == named), None)
    if found is None:
        listed = ", ".join(f'"{c["metadata"]["name"]}"' for c in containers) or "none"
        raise Forbidden(
            f'ClusterStorageContainer "{named}" does not exist; installed are: {listed}'
        )
    problem = _problem(found, uri)
    if problem:
        raise Forbidden(f'ClusterStorageContainer "{named}" {problem}; name another')
    return found


def _problem(container: Mapping[str, Any], uri: str) -> str | None:
    spec = container.get("spec") or {}
    kind = spec.get("workloadType") or INIT_CONTAINER
    if container.get("disabled"):
        return "is disabled"
    if kind != INIT_CONTAINER:
        return f'is of workload type "{kind}", not "{INIT_CONTAINER}"'
    if not any(_fits(form, uri) for form in spec.get("supportedUriFormats") or ()):
        return f'does not fetch "{uri}"'
    return None


def _fits(form: Mapping[str, Any], uri: str) -> bool:
    if form.get("prefix"):
        return uri.startswith(str(form["prefix"]))
    try:
        return bool(form.get("regex")) and re.search(str(form["regex"]), uri) is not None
    except re.error:
        return False  # its own admission tells of a pattern that cannot be read
