"""`behavior` of a horizontal autoscaler, as Kubernetes writes it, to how one direction is steadied.

What is not given is Kubernetes's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sampan.autoscaler.hpa import Direction, RatePolicy
from sampan.machinery.quantity import parse_quantity


def make_direction(rules: Mapping[str, Any] | None, default: Direction) -> Direction:
    """Return `scaleUp` or `scaleDown` with its defaults filled in."""
    if not rules:
        return default
    window, policies = rules.get("stabilizationWindowSeconds"), rules.get("policies")
    tolerance = rules.get("tolerance")
    return replace(
        default,
        window=default.window if window is None else float(window),
        policies=tuple(map(_policy, policies)) if policies else default.policies,
        select=rules.get("selectPolicy") or default.select,
        tolerance=default.tolerance
        if tolerance is None
        else float(parse_quantity(tolerance).value),
    )


def _policy(policy: Mapping[str, Any]) -> RatePolicy:
    return RatePolicy(
        "Pods" if policy.get("type") == "Pods" else "Percent",
        int(policy["value"]),
        float(policy["periodSeconds"]),
    )
