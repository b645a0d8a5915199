"""Which ClusterStorageContainer fetches a URI, and why one does not.

KServe, storage containers: the one that a service names must be there, be enabled, be of workload
type `initContainer` and fetch the URI; without a name the first that fits is taken. One that fits
makes a URI valid whose scheme nobody else knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

INIT_CONTAINER = "initContainer"


def select_fitting(uri: str, containers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first container that fetches a URI, in the order of the list."""
    return next((c for c in containers if problem_of(c, uri) is None), None)


def refuse_named(uri: str, containers: Sequence[Mapping[str, Any]], named: str) -> str | None:
    """Return why the container that a service names cannot fetch its URI; None: it can."""
    found = next((c for c in containers if c["metadata"]["name"] == named), None)
    if found is None:
        listed = ", ".join(f'"{c["metadata"]["name"]}"' for c in containers) or "none"
        return f'ClusterStorageContainer "{named}" does not exist; installed are: {listed}'
    problem = problem_of(found, uri)
    return f'ClusterStorageContainer "{named}" {problem}; name another' if problem else None


def problem_of(container: Mapping[str, Any], uri: str) -> str | None:
    """Return why a container does not fetch a URI; None: it does."""
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
    """A prefix wins over an expression, which may match anywhere."""
    if form.get("prefix"):
        return uri.startswith(str(form["prefix"]))
    try:
        return bool(form.get("regex")) and re.search(str(form["regex"]), uri) is not None
    except re.error:
        return False  # no URI fits a pattern that cannot be read
