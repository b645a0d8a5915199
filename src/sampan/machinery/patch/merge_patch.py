"""JSON merge patch (RFC 7396): null removes, objects merge, all else replaces."""

from __future__ import annotations

from typing import Any

from sampan.machinery.registry import JsonObject


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with the patch applied (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    merged: JsonObject = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def make_merge_patch(before: JsonObject, after: JsonObject) -> JsonObject:
    """Return the patch that makes `after` of `before`; null in `after` cannot be expressed."""
    patch: JsonObject = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := make_merge_patch(old, value):
                patch[name] = inner
        elif name not in before or not same_json(old, value):
            patch[name] = value
    return patch


def same_json(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal, telling true from 1 as Python does not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return bool(left == right)
