"""Every recorded life of a service, in each set-up, told again by the plan and the status.

After each step conditions, the model's state, failures, runtimes, URLs, canaries, revisions and
shares of traffic are compared with what a real KServe said. Where Sampan says something else, a
rule of `status_differences.yaml` must allow it; each is a row of the documentation, and needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .story_stage import StoryStage

SET_UPS = ("knative", "standard-gateway", "standard-ingress")
OTHER_KINDS = ("27", "28")
"""Stories about graphs and trained models."""
PUT_BACK = 3
"""The step at which a changed configuration has been put back and the service is reconciled."""
PAGE = Path(__file__).parents[2] / "docs/reference/differences.md"

CONDITIONS = ("PredictorReady", "TransformerReady", "ExplainerReady", "Ready", "IngressReady",
              "Stopped", "CanaryPredictorReady")  # fmt: skip
REVISIONS = ("latestCreatedRevision", "latestReadyRevision", "latestRolledoutRevision",
             "previousRolledoutRevision")  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """A field that says something else after a step (`SET-UP/NAME STEP`)."""

    step: str
    field: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.step}: {self.field}\n    Sampan: {self.ours!r}\n    KServe: {self.theirs!r}"


@dataclass(frozen=True)
class Rule:
    """A difference that is wanted; each part is a regular expression that matches the whole."""

    behaviour: str
    step: str = ".*"
    field: str = ".*"
    ours: str = ".*"
    theirs: str = ".*"

    def allows(self, found: Difference) -> bool:
        parts = ((self.step, found.step), (self.field, found.field),
                 (self.ours, str(found.ours)), (self.theirs, str(found.theirs)))  # fmt: skip
        return all(re.fullmatch(pattern, text) for pattern, text in parts)


def rules() -> list[Rule]:
    listed = yaml.safe_load(Path(__file__).with_name("status_differences.yaml").read_text())
    return [Rule(**entry) for entry in listed]


def merged(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    kept = {k: v for k, v in (target or {}).items() if patch.get(k, v) is not None}
    return {**kept, **{k: merged(kept.get(k), v) for k, v in patch.items() if v is not None}}


def fields_of(status: Mapping[str, Any], *, revisions: bool) -> dict[str, Any]:
    """What is compared, by name; what is absent is None."""
    told = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    model = status.get("modelStatus") or {}
    found: dict[str, Any] = {name: told.get(name) for name in CONDITIONS}
    found["transition"] = model.get("transitionStatus")
    states = model.get("states") or {}
    found["states"] = f"{states.get('activeModelState')}/{states.get('targetModelState')}"
    found["failure"] = (model.get("lastFailureInfo") or {}).get("reason")
    for name in ("deploymentMode", "clusterServingRuntimeName", "servingRuntimeName",
                 "canaryStatuses"):  # fmt: skip
        found[name] = status.get(name)
    found |= {name: bool(status.get(name)) for name in ("url", "address")}
    for name, component in (status.get("components") or {}).items():
        found[f"components.{name}"] = "there"
        found[f"components.{name}.url"] = bool(component.get("url"))
        if revisions:
            found |= {f"{name}.{r}": component.get(r) for r in REVISIONS}
            shares = component.get("traffic") or ()
            found[f"{name}.traffic"] = [
                (t["revisionName"], t.get("percent"), t.get("tag")) for t in shares
            ]
    return found


class Teller:
    """Tells recorded stories again."""

    def __init__(self, make: Any, installed: Any, folder: Path) -> None:
        self._make, self._installed, self._folder = make, installed, folder

    def stories(self, set_up: str) -> list[Path]:
        paths = sorted((self._folder / "lifecycle" / set_up).glob("*.json"))
        return [
            p for p in paths if not p.stem.startswith(OTHER_KINDS) and not p.stem.endswith("-graph")
        ]

    def tell(self, path: Path) -> Iterator[Difference]:
        """Yield the differences after each step of a story."""
        story = json.loads(path.read_text())
        set_up = story["setup"]
        text = (self._folder / f"installed/inferenceservice-config.{set_up}.json").read_text()
        shipped, changes = json.loads(text), story.get("config") or {}
        before = {k: json.loads(shipped.get(k, "{}")) for k in changes}
        changed = {k: json.dumps(merged(before[k], v)) for k, v in changes.items()}
        stage = StoryStage(self._make, self._installed)
        for number, step in enumerate(story["steps"]):
            stage.data = {**shipped, **changed} if number < PUT_BACK else shipped
            refused = not (step.get("admission") or {"allowed": True})["allowed"]
            if refused or step.get("resourceGone"):
                continue
            stage.play(step)
            real = step.get("status")
            if real is not None:
                knative = real.get("deploymentMode") == "Knative"
                ours, theirs = (fields_of(s, revisions=knative) for s in (stage.status, real))
                for name in sorted(ours.keys() | theirs.keys()):
                    if ours.get(name) != theirs.get(name):
                        at = f"{set_up}/{path.stem} {number}"
                        yield Difference(at, name, ours.get(name), theirs.get(name))


@pytest.fixture(scope="session")
def told(make: Any, installed: Any, golden_folder: Path) -> dict[str, list[Difference]]:
    teller = Teller(make, installed, golden_folder)
    return {s: [d for p in teller.stories(s) for d in teller.tell(p)] for s in SET_UPS}


@pytest.mark.parametrize("set_up", SET_UPS)
def test_each_step_is_told_as_kserve_does_or_a_rule_says_why_not(told, set_up):
    listed = rules()
    unlisted = [d for d in told[set_up] if not any(rule.allows(d) for rule in listed)]
    shown = "\n".join(map(str, unlisted[:20]))
    assert not unlisted, f"{len(unlisted)} differences that no rule lists:\n{shown}"


def test_every_rule_is_needed(told):
    found = [d for differences in told.values() for d in differences]
    assert [r for r in rules() if not any(r.allows(d) for d in found)] == []


def test_every_rule_stands_in_the_documentation():
    table = PAGE.read_text().partition("## Status")[2].partition("\n## ")[0]
    assert [r.behaviour for r in rules() if f"| {r.behaviour} |" not in table] == []
