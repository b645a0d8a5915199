"""What a rule of a role allows (Kubernetes, "RBAC authorization"). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from sampan.machinery.registry import JsonObject

ALL = "*"
Rule: TypeAlias = JsonObject
"""A PolicyRule: `verbs` on `resources` of `apiGroups` (`resourceNames`), or `nonResourceURLs`."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a caller asks to do: a verb on a resource, or on a `path` that names none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def qualified(self) -> str:
        """The resource as rules name it: `pods/log` for a part."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def allows(rule: Rule, asked: Attributes) -> bool:
    """Whether a rule allows what is asked."""
    if not _has(rule.get("verbs"), asked.verb):
        return False
    if asked.path:
        return any(_path_matches(p, asked.path) for p in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames") or ()
    return (
        _has(rule.get("apiGroups"), asked.group)
        and _resource_matches(rule.get("resources") or (), asked)
        and (not names or asked.name in names)
    )


def covers(held: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return the parts of `wanted`, one verb on one resource each, that `held` do not allow.

    Nobody may give what he has not (Kubernetes, "Privilege escalation prevention").
    """
    held = list(held)
    return [part for rule in wanted for part in _parts(rule) if not _covered(held, part)]


def render_rule(rule: Rule) -> str:
    """Return a rule as Kubernetes prints it in a refusal."""
    names = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    )
    shown = (
        f"{word}:[{' '.join(_quoted(v) for v in rule[key])}]"
        for word, key in names
        if rule.get(key)
    )
    return "{" + ", ".join(shown) + "}"


def _has(listed: list[str] | None, wanted: str) -> bool:
    return bool(listed) and (ALL in listed or wanted in listed)  # type: ignore[operator]  # not None here


def _resource_matches(listed: Iterable[str], asked: Attributes) -> bool:
    wanted = asked.qualified
    part = f"*/{asked.subresource}" if asked.subresource else ALL
    return any(entry in (ALL, wanted, part) for entry in listed)


def _path_matches(pattern: str, path: str) -> bool:
    if pattern == ALL:
        return True
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _parts(rule: Rule) -> list[Rule]:
    parts: list[Rule] = []
    for verb in rule.get("verbs") or ():
        paths = rule.get("nonResourceURLs") or ()
        parts += [{"nonResourceURLs": [path], "verbs": [verb]} for path in paths]
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames")
                parts += [{**part, "resourceNames": [n]} for n in names] if names else [part]
    return parts


def _covered(held: list[Rule], part: Rule) -> bool:
    """Whether one rule allows a part; a wildcard is only covered by a wildcard."""
    verb = part["verbs"][0]
    if "nonResourceURLs" in part:
        return any(allows(rule, Attributes(verb, path=part["nonResourceURLs"][0])) for rule in held)
    resource, _, subresource = part["resources"][0].partition("/")
    name = (part.get("resourceNames") or [""])[0]
    asked = Attributes(verb, part["apiGroups"][0], resource, subresource, name=name)
    return any(allows(rule, asked) for rule in held)


def _quoted(text: str) -> str:
    return f'"{text}"'
