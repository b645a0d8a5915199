"""A graph as its router is told it: the spec as one line of JSON, as KServe writes it.

The text is part of the router's pod template, so that taking a graph over starts no pod anew.
Options of Sampan's own stand in it as `sampan`, which KServe's router does not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject

_SPEC_ORDER = (
    "nodes", "resources", "affinity", "timeout", "routerTimeouts", "minReplicas", "maxReplicas",
    "scaleTarget", "scaleMetric", "tolerations", "nodeSelector", "nodeName", "serviceAccountName",
)  # fmt: skip
_STEP_ORDER = (
    "name", "nodeName", "serviceName", "serviceUrl", "data", "mapPredictionsToInstances", "weight",
    "condition", "dependency", "sampan",
)  # fmt: skip


def make_graph_json(graph: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    """Return the graph's spec as one line, in the order and with the escapes of KServe's."""
    spec = {**graph["spec"], "nodes": {name: _node(node) for name, node in nodes.items()}}
    spec.setdefault("resources", {})
    ordered = {key: spec[key] for key in _SPEC_ORDER if spec.get(key) is not None}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)
    # Go's JSON is safe to stand in a page: these three are never written as they are.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _node(node: Mapping[str, Any]) -> JsonObject:
    steps = [{key: s[key] for key in _STEP_ORDER if s.get(key) is not None} for s in node["steps"]]
    options = {"sampan": node["sampan"]} if node.get("sampan") else {}
    return {"routerType": node["routerType"], **({"steps": steps} if steps else {}), **options}
