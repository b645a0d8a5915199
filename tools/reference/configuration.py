"""`configuration.md`: every setting of `inferenceservice-config`, and where it has an effect.

What a setting does is not written down: it is set, and what the platforms read is compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sampan.api.config import Config
from sampan.api.config_keys import KEYS, Form, Setting
from sampan.plan.unbuilt import _warn_config
from tools.reference.markdown import code, page, section, table

_INTRODUCTION = """
The ConfigMap `inferenceservice-config` in the namespace `kserve`, as for KServe: each key holds a
JSON object. Where there is none, KServe's shipped values hold, but for the mode, which is
`Standard`. A change counts from the next decision on.

A setting that cannot be what it is (`"plenty"` processors) is refused when the ConfigMap is
applied, with its key, its value and what would do: the configuration of before stays, and nothing
that runs is touched. A setting that has no effect on this machine, and one that nobody knows, is
named in a warning then.

**Honoured**: it does what KServe's does. *Warned*: it is kept, and applying it says that it has no
effect. *Not applicable*: it is about something that this machine does not have, such as the image
of a sidecar; applying it says so too.
"""
_CLUSTER = (
    ("sampan.platforms.kubernetes.settings", "parse_settings"),
    ("sampan.platforms.kubernetes.pods.settings", "parse_pod_settings"),
)
_ONLY_ON_A_CLUSTER = frozenset(
    {
        "agent",
        "autoscaling-wva-controller-config",
        "opentelemetryCollector",
        "router",
        "service",
        "storageInitializer",
    }
)
"""Keys about containers and objects that a machine without a cluster does not have."""
_SAMPLES: Mapping[Form, Any] = {
    Form.TEXT: "sample",
    Form.TEXTS: ["sample"],
    Form.OBJECT: {"sample": "x"},
    Form.WHOLE: 7,
    Form.QUANTITY: "7",
    Form.FLAG_TEXT: "true",
    Form.WHOLE_TEXT: "7",
    Form.SHARE: "7%",
    Form.GATEWAY: "a/b",
    Form.TEMPLATE: "{{ .Name }}",
    Form.MODE: "Knative",
    Form.OCI_MODE: "fetch",
    Form.PULL_POLICY: "Never",
    Form.SWITCH: "disabled",
}


def render() -> str:
    """Return the page."""
    return page(
        "Configuration",
        _INTRODUCTION,
        *(
            section(key, table(("setting", "holds", "on a laptop", "on a cluster"), _rows(key)))
            for key in KEYS
        ),
    )


def _rows(key: str) -> list[tuple[str, ...]]:
    return [(code(s.path), s.form.word, _here(key, s), _on_a_cluster(key, s)) for s in KEYS[key]]


def _here(key: str, setting: Setting) -> str:
    if not setting.field:
        return "*not applicable*" if key in _ONLY_ON_A_CLUSTER else "*warned*"
    config = Config(path_template="/x", disable_ingress_creation=True, url_scheme="https")
    warned = {path.removeprefix("inferenceservice-config ") for path, _ in _warn_config(config)}
    return "*warned*" if f"{key}.{setting.path}" in warned else "honoured"


def _on_a_cluster(key: str, setting: Setting) -> str:
    readers = [getattr(import_module(m), name) for m, name in _CLUSTER if find_spec(m)]
    if setting.field or any(_reads(reader, key, setting) for reader in readers):
        return "honoured"
    return "*warned*"


def _reads(reader: Callable[[Mapping[str, str]], Any], key: str, setting: Setting) -> bool:
    """Whether what is read differs for two values of a setting."""
    return bool(reader({key: json.dumps(_at(setting))}) != reader({key: "{}"}))


def _at(setting: Setting) -> Any:
    value: Any = _SAMPLES.get(setting.form, True)
    for step in reversed(setting.path.split(".")):
        value = {step: value}
    return value
