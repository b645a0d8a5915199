"""The same objects as a real KServe has after each step of a service's life.

What is compared after a step is everything that is there: KServe's recordings name what is new,
changed or gone. A difference must be allowed by a rule of differences.yaml.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.platforms.kubernetes.conftest import SET_UPS
from tests.platforms.kubernetes.recorded_differences import Difference, differences, rules

# Stories about other kinds than InferenceService, and about children that are changed by hand.
OTHERS = ("24b", "27", "28")
ROUTES = frozenset({"HTTPRoute", "Ingress", "VirtualService"})
# The configuration is put back in step 2, and the service reconciled once more in step 3.
PUT_BACK = 3


class Story:
    """A recorded life: the service, what runs it, and everything that KServe has made of it."""

    def __init__(self, path: Path) -> None:
        recording = json.loads(path.read_text())
        self.name = path.stem
        self.set_up = path.parent.name
        self.steps = recording["steps"]
        self.config = recording.get("config") or {}
        self.service: dict[str, Any] = {}
        self.routed: set[str] = set()
        self.opened = False
        self.runtimes: dict[str, dict[str, Any]] = {}
        self.there: dict[tuple[str, str, str], dict[str, Any]] = {}

    def take(self, step: dict[str, Any]) -> None:
        """Follow a recorded step: what was asked, and what was there after it."""
        do = step["do"]
        kind = do.get("kind") or (do.get("object") or {}).get("kind")
        if do["verb"] == "delete" and kind == "ServingRuntime":
            self.runtimes.pop(do["name"], None)
        elif "defaulted" in step and kind == "ServingRuntime":
            self.runtimes[step["defaulted"]["metadata"]["name"]] = step["defaulted"]
        elif "defaulted" in step and kind == "InferenceService":
            self.service = step["defaulted"]
        for obj in step.get("objects", ()):
            self.there[(obj["apiVersion"], obj["kind"], obj["metadata"]["name"])] = obj
        for kind, name in step.get("gone", ()):
            for key in [k for k in self.there if k[1:] == (kind, name)]:
                del self.there[key]
        if step.get("status"):
            self.service = {**self.service, "status": step["status"]}

    def note_routes(self) -> None:
        """Remember which workloads routes lead to, for the next step."""
        routes = [o for (_, kind, _), o in self.there.items() if kind in ROUTES]
        name = self.service["metadata"]["name"]
        component = rf"\b{name}(?:-\w+)?-(?:predictor|transformer|explainer)\b"
        self.routed = set(re.findall(component, json.dumps([o["spec"] for o in routes])))
        self.opened = any(o["metadata"]["name"] == name for o in routes)

    def data(self, configured: dict[str, str], number: int) -> dict[str, str]:
        """The keys of the configuration that this story changes, as they stand at a step."""
        changes = self.config if number < PUT_BACK else {}
        return {
            k: json.dumps({**json.loads(configured.get(k, "{}")), **v}) for k, v in changes.items()
        }

    def ready(self) -> set[str]:
        """The workloads that the status says can take requests."""
        status, name = self.service["status"], self.service["metadata"]["name"]
        true = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
        variant = self.service["spec"]["predictor"].get("name")
        names = {
            "PredictorReady": f"{name}-{variant}-predictor" if variant else f"{name}-predictor",
            "TransformerReady": f"{name}-transformer",
            "ExplainerReady": f"{name}-explainer",
        }
        found = {workload for condition, workload in names.items() if condition in true}
        canaries = status.get("canaryStatuses", ())
        return found | {f"{name}-{c['name']}-predictor" for c in canaries if c.get("ready")}


def stories(folder: Path, set_up: str) -> list[Path]:
    found = sorted((folder / "lifecycle" / set_up).glob("*.json"))
    return [p for p in found if not p.stem.startswith(OTHERS) and not p.stem.endswith("-graph")]


def story_differences(path: Path, rendered: Any, config_data: Any) -> list[Difference]:
    story, found = Story(path), []
    for number, step in enumerate(story.steps):
        story.take(step)
        if step.get("resourceGone"):
            break
        ours = rendered(
            story.service,
            story.set_up,
            ready=story.ready(),
            routed=story.routed,
            opened=story.opened,
            runtimes=tuple(story.runtimes.values()),
            config=story.data(config_data(story.set_up), number),
        )
        if ours is not None:
            found += differences(f"{story.name} {number}", ours, list(story.there.values()))
        story.note_routes()
    return found


@pytest.mark.parametrize("set_up", SET_UPS)
def test_after_each_step_the_objects_are_kserve_s(set_up, golden_folder, rendered, config_data):
    listed = rules()
    paths = stories(golden_folder, set_up)
    assert len(paths) >= 30
    found = [d for p in paths for d in story_differences(p, rendered, config_data)]
    unlisted = [d for d in found if not any(rule.allows(d) for rule in listed)]
    shown = "\n".join(str(d) for d in unlisted[:20])
    assert not unlisted, f"{len(unlisted)} differences that no rule lists:\n{shown}"
