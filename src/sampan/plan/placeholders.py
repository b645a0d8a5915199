"""Placeholders: the part of Go's text/template that KServe's YAML uses.

A runtime's `--model_name={{.Name}}` is rendered with the service's ObjectMeta as root (KServe,
merging of runtime and service), a domain template with name, namespace and domain. Only what can be
meant there is rendered: a field, a label, an annotation, a quoted text. A missing label or
annotation renders as `<no value>`, as in Go. Anything else (a chat template that slipped into an
argument) is a `PlaceholderError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

_ACTION = re.compile(
    r"(?P<before>\s*)\{\{(?P<trim_left>-(?=\s))?(?P<body>.*?)"
    r"(?P<trim_right>(?<=\s)-)?\}\}(?P<after>\s*)",
    re.DOTALL,
)
_FIELD = re.compile(r"\.(?P<field>[A-Za-z]\w*)(?:\.(?P<key>\w+))?")
_INDEX = re.compile(
    r"index\s+\.(?P<field>Labels|Annotations)\s+(?:\"(?P<a>[^\"]*)\"|`(?P<b>[^`]*)`)"
)
_TEXT = re.compile(r"\"(?P<a>[^\"\\]*)\"|`(?P<b>[^`]*)`")
_COMMENT = re.compile(r"/\*.*\*/", re.DOTALL)
_METADATA_FIELDS = {
    "Name": "name",
    "GenerateName": "generateName",
    "Namespace": "namespace",
    "UID": "uid",
    "ResourceVersion": "resourceVersion",
    "Generation": "generation",
}
_NO_VALUE = "<no value>"

Root: TypeAlias = Mapping[str, "str | Mapping[str, str]"]
"""What `.` is in a template: fields that are texts, and maps of texts."""


class PlaceholderError(ValueError):
    """A placeholder that cannot be rendered; the text names it and the mend."""


def make_metadata_root(metadata: Mapping[str, Any]) -> Root:
    """Return an ObjectMeta as the root of a template."""
    fields = {name: str(metadata.get(key, "")) for name, key in _METADATA_FIELDS.items()}
    return {
        **fields,
        "Labels": metadata.get("labels") or {},
        "Annotations": metadata.get("annotations") or {},
    }


def render_placeholders(value: Any, root: Root) -> Any:
    """Return a JSON value with the placeholders of every text in it rendered.

    Each text is rendered by itself, so a label that holds a quote cannot break the container.
    """
    match value:
        case str():
            return render_text(value, root) if "{{" in value else value
        case list():
            return [render_placeholders(item, root) for item in value]
        case dict():
            return {key: render_placeholders(item, root) for key, item in value.items()}
    return value


def render_text(text: str, root: Root) -> str:
    """Return the text with its placeholders rendered; raise PlaceholderError."""
    if "{{" in _ACTION.sub("", text):
        raise PlaceholderError(f'"{text}" has "{{{{" without "}}}}"; close it or remove it')

    def rendered(action: re.Match[str]) -> str:
        before = "" if action["trim_left"] else action["before"]
        after = "" if action["trim_right"] else action["after"]
        return before + _render_action(action["body"].strip(), root) + after

    return _ACTION.sub(rendered, text)


def _render_action(body: str, root: Root) -> str:
    if _COMMENT.fullmatch(body):
        return ""
    if text := _TEXT.fullmatch(body):
        return text["a"] if text["a"] is not None else text["b"]
    if index := _INDEX.fullmatch(body):
        key = index["a"] if index["a"] is not None else index["b"]
        found = root.get(index["field"])
        if isinstance(found, Mapping):
            return str(found.get(key, ""))
    if field := _FIELD.fullmatch(body):
        found = root.get(field["field"])
        if isinstance(found, str) and not field["key"]:
            return found
        if isinstance(found, Mapping) and field["key"]:
            return str(found.get(field["key"], _NO_VALUE))
    known = ", ".join(
        f"{{{{.{name}}}}}" if isinstance(value, str) else f"{{{{.{name}.x}}}}"
        for name, value in root.items()
    )
    raise PlaceholderError(f'"{{{{{body}}}}}" cannot be rendered; use one of {known}')
