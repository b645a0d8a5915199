"""Placeholders of runtimes: Go templates over an InferenceService's metadata.

`--model_name={{.Name}}` is rendered with the service's ObjectMeta as root (KServe, merging of
runtime and service). Only what can be meant there is rendered: a field, a label, an annotation, a
quoted text. A missing label or annotation renders as `<no value>`, as Go's text/template does.
Anything else (a chat template that slipped into an argument) is a `PlaceholderError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
_SCALARS = {
    "Name": "name",
    "GenerateName": "generateName",
    "Namespace": "namespace",
    "UID": "uid",
    "ResourceVersion": "resourceVersion",
    "Generation": "generation",
}
_MAPS = {"Labels": "labels", "Annotations": "annotations"}
_NO_VALUE = "<no value>"


class PlaceholderError(ValueError):
    """A placeholder that cannot be rendered; the text names it and the mend."""


def render_placeholders(value: Any, metadata: Mapping[str, Any]) -> Any:
    """Return a JSON value with the placeholders of every text in it rendered.

    `metadata` is the InferenceService's, with the labels that the runtime's defaults add.
    Each text is rendered by itself, so a label that holds a quote cannot break the container.
    """
    match value:
        case str():
            return _render_text(value, metadata) if "{{" in value else value
        case list():
            return [render_placeholders(item, metadata) for item in value]
        case dict():
            return {key: render_placeholders(item, metadata) for key, item in value.items()}
    return value


def _render_text(text: str, metadata: Mapping[str, Any]) -> str:
    if "{{" in _ACTION.sub("", text):
        raise PlaceholderError(f'"{text}" has "{{{{" without "}}}}"; close it or remove it')

    def rendered(action: re.Match[str]) -> str:
        before = "" if action["trim_left"] else action["before"]
        after = "" if action["trim_right"] else action["after"]
        return before + _render_action(action["body"].strip(), metadata) + after

    return _ACTION.sub(rendered, text)


def _render_action(body: str, metadata: Mapping[str, Any]) -> str:
    if _COMMENT.fullmatch(body):
        return ""
    if text := _TEXT.fullmatch(body):
        return text["a"] if text["a"] is not None else text["b"]
    if index := _INDEX.fullmatch(body):
        key = index["a"] if index["a"] is not None else index["b"]
        return str((metadata.get(_MAPS[index["field"]]) or {}).get(key, ""))
    field = _FIELD.fullmatch(body)
    if field and field["field"] in _MAPS and field["key"]:
        return str((metadata.get(_MAPS[field["field"]]) or {}).get(field["key"], _NO_VALUE))
    if field and field["field"] in _SCALARS and not field["key"]:
        return str(metadata.get(_SCALARS[field["field"]], ""))
    raise PlaceholderError(
        f'"{{{{{body}}}}}" cannot be rendered; use {{{{.Name}}}}, {{{{.Namespace}}}}, '
        "{{.Labels.x}} or {{.Annotations.x}}"
    )
