"""What protects a service's pods on a cluster, by annotations: from drains, and from strangers.

Sampan's own; without the annotations there is neither, as in KServe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sampan.plan.service import annotations_of, component_spec, components_of

MIN_AVAILABLE = "serving.sampan.dev/min-available"
"""How many pods of each component stay while nodes are drained: a number or a percentage."""
ALLOW_FROM = "serving.sampan.dev/allow-from"
"""Whose pods may send requests: namespaces between commas, besides the service's own."""

_AMOUNT = re.compile(r"[0-9]+%?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def read_min_available(service: Mapping[str, Any]) -> int | str | None:
    """Return what must stay available, None where nothing (readable) is asked for."""
    text = annotations_of(service).get(MIN_AVAILABLE, "")
    if not _AMOUNT.fullmatch(text):
        return None
    return text if text.endswith("%") else int(text)


def read_allowed(service: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the namespaces that may send requests, the service's own first; None: all may.

    An empty annotation lets in the service's own namespace alone. One name that cannot be a
    namespace's makes the whole list unreadable.
    """
    text = annotations_of(service).get(ALLOW_FROM)
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not all(_NAMESPACE.fullmatch(name) for name in names):
        return None
    return tuple(dict.fromkeys((str(service["metadata"]["namespace"]), *names)))


def protection_warnings(service: Mapping[str, Any], mode: str) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each annotation that has no effect, or another than is meant."""
    given = annotations_of(service)
    asked = [key for key in (MIN_AVAILABLE, ALLOW_FROM) if key in given]
    if mode != "Standard":
        for key in asked:
            yield _path(key), f"is of Standard mode; in {mode} mode pods are made by others"
        return
    if ALLOW_FROM in given and read_allowed(service) is None:
        text = (
            f'"{given[ALLOW_FROM]}" is no list of namespaces, and no NetworkPolicy is made; write '
            'their names between commas, such as "istio-system,team-a"'
        )
        yield _path(ALLOW_FROM), text
    if MIN_AVAILABLE in given:
        yield from _min_available(service, given[MIN_AVAILABLE])


def _min_available(service: Mapping[str, Any], text: str) -> Iterator[tuple[str, str]]:
    amount = read_min_available(service)
    if amount is None:
        sentence = (
            f'"{text}" is neither a number nor a percentage, and no PodDisruptionBudget is made; '
            'write "1" or "50%"'
        )
        yield _path(MIN_AVAILABLE), sentence
        return
    for component in components_of(service):
        minimum = component_spec(service, component).get("minReplicas")
        replicas = 1 if minimum is None else max(int(minimum), 1)
        if amount == "100%" or (isinstance(amount, int) and amount >= replicas):
            sentence = (
                f'"{text}" keeps every pod of the {component.value} while it has {replicas}: '
                "nodes cannot be drained then; give it more minReplicas, or ask for less"
            )
            yield _path(MIN_AVAILABLE), sentence


def _path(key: str) -> str:
    return f'metadata.annotations["{key}"]'
