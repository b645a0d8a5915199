"""`rights.md`: what the operator may do in a cluster, from the table of its rights."""

from __future__ import annotations

from sampan.installation.activator_rights import ACTIVATOR_RIGHTS
from sampan.installation.rights import RIGHTS, Right
from tools.reference.markdown import code, page, section, table

_TEXT = """
What `sampan install` grants the operator's ServiceAccount, right by right. Nothing is granted by
`*`, and Secrets are read by name only, never listed. A test runs the operator with these rights
alone against an API server that enforces them.
"""
_ACTIVATOR = """
With `--activators` what wakes services without Knative gets rights of its own. It reads no pod, no
Secret and no InferenceService. EndpointSlices are a trusted kind: who may write them may lead a
Service elsewhere, so it is the one right here that is worth an administrator's look.
"""
_HEADER = ("group", "resources", "verbs", "what for")


def render() -> str:
    """Return the page."""
    return page(
        "Rights of the operator",
        _TEXT,
        section("In all namespaces", table(_HEADER, _rows(RIGHTS, here=False))),
        section("In its own namespace", table(_HEADER, _rows(RIGHTS, here=True))),
        section(
            "The activator",
            _ACTIVATOR,
            table(_HEADER, _rows(ACTIVATOR_RIGHTS, here=False)),
            "In its own namespace:",
            table(_HEADER, _rows(ACTIVATOR_RIGHTS, here=True)),
        ),
    )


def _rows(rights: tuple[Right, ...], *, here: bool) -> list[tuple[str, str, str, str]]:
    return [_row(right) for right in rights if right.here is here]


def _row(right: Right) -> tuple[str, str, str, str]:
    resources = ", ".join(code(r) for r in right.resources)
    named = f" named {', '.join(code(n) for n in right.names)}" if right.names else ""
    verbs = ", ".join(right.verbs)
    return code(right.group) or "core", resources + named, verbs, right.reason
