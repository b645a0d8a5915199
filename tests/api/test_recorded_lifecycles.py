"""Every create and change in the scripted lifecycles is judged and defaulted as KServe does."""

import copy
import json
from typing import Any

SERVED = (
    "InferenceService",
    "ServingRuntime",
    "ClusterServingRuntime",
    "InferenceGraph",
    "TrainedModel",
)

Key = tuple[str, str]


def merged(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result


def configured(shipped: Any, changes: dict[str, Any]) -> dict[str, str]:
    """Return the configuration with a scenario's changes, which are JSON below each key."""
    texts = dict(shipped)
    for key, change in changes.items():
        texts[key] = json.dumps(merged(json.loads(texts.get(key, "{}")), change))
    return texts


def submitted(do: dict[str, Any], stored: dict[Key, Any]) -> tuple[Key, Any] | None:
    """Return what a step sends, None where it sends no object of ours."""
    if do["verb"] in ("create", "replace"):
        obj = copy.deepcopy(do["object"])
        return (obj["kind"], obj["metadata"]["name"]), obj
    if do["verb"] == "patch" and (do["kind"], do["name"]) in stored:
        key = (do["kind"], do["name"])
        return key, merged(copy.deepcopy(stored[key]), do["patch"])
    return None


def test_a_lifecycle_is_judged_and_defaulted_step_by_step(
    recordings: Any, admit: Any, lifecycle_name: str
) -> None:
    lifecycle = recordings.lifecycle(lifecycle_name)
    shipped = recordings.configuration(lifecycle["setup"])
    configuration = configured(shipped, lifecycle.get("config") or {})
    stored: dict[Key, Any] = {}
    for number, step in enumerate(lifecycle["steps"]):
        sent = submitted(step["do"], stored)
        if sent and sent[0][0] in SERVED:
            key, obj = sent
            admitted = admit(obj, stored.get(key), configuration)
            _, _, text = step["admission"]["message"].partition("denied the request: ")
            where = f"step {number}: {step['do']}"
            assert not admitted.errors, where
            assert admitted.denied.partition("\n")[0] == text, where
            if step["admission"]["allowed"]:
                assert _plain(admitted.obj) == _plain(step["defaulted"]), where
                stored[key] = admitted.obj
        if step.get("status") is not None and ("InferenceService", "m") in stored:
            service = stored["InferenceService", "m"]
            stored["InferenceService", "m"] = {**service, "status": step["status"]}


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    """Leave out what admission does not write: status, finalizers, a controller's labels."""
    metadata = {name: part for name, part in obj["metadata"].items() if name != "finalizers"}
    if obj["kind"] == "TrainedModel":
        metadata.pop("labels", None)
    return {**{name: part for name, part in obj.items() if name != "status"}, "metadata": metadata}
