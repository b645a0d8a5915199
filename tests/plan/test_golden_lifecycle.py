"""The same story told twice: by a real KServe, and by the plan over what would have been observed.

Each recorded step is played (edits as they were answered, pods that become ready or fail); after it
conditions, transition and readiness events are compared. Where KServe notices later than the
step, or not at all, the step is listed with the reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sampan.plan.build import build_plan
from sampan.plan.events import derive_events
from sampan.plan.observed import NOTHING, Exit, Link, LinkState
from sampan.plan.status import derive_status

STORIES = (
    "06c-created-stopped",
    "12-storage-uri-changed",
    "15-stop-resume",
    "17-fails-crashloop",
    "17-fails-error",
    "17-fails-init-error",
    "17-fails-oom-crashloop",
    "17-serving-pod-crashes",
    "17-update-fails-crashloop",
    "17-update-fails-init-error",
    "17-update-fails-oom",
    "22-serving-runtime",
    "22b-runtime-auto-selected",
)

# Steps after which the model's state is not compared.
LATER = {
    # KServe looks at a container's end only when something else makes it reconcile.
    ("17-fails-crashloop", 1), ("17-fails-error", 1), ("17-fails-oom-crashloop", 1),
    # While the service is Ready KServe takes the new template's model for loaded, too early.
    ("12-storage-uri-changed", 2), ("12-storage-uri-changed", 4),
    ("17-update-fails-crashloop", 1), ("17-update-fails-crashloop", 2),
    ("17-update-fails-crashloop", 3),
    ("17-update-fails-init-error", 1),
    ("17-update-fails-oom", 1), ("17-update-fails-oom", 2), ("17-update-fails-oom", 3),
    ("22-serving-runtime", 3),
    # A runtime that is deleted or created is noticed with the next reconcile.
    ("22-serving-runtime", 8),
    ("22b-runtime-auto-selected", 1), ("22b-runtime-auto-selected", 2),
    ("22b-runtime-auto-selected", 4), ("22b-runtime-auto-selected", 6),
}  # fmt: skip
# A container that ran out of memory is "Pending" to KServe; here it has failed to load.
OUT_OF_MEMORY = {("17-update-fails-oom", 2), ("17-update-fails-oom", 3)}


class Stage:
    """What stands on the stage of a story: the objects, and what is observed of them."""

    def __init__(self, make, installed):
        self.make = make
        self.cluster = installed
        self.runtimes: dict[str, dict[str, Any]] = {}
        self.service: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.observed = NOTHING
        self.now = make.now

    def plan(self):
        return build_plan(self.snapshot())

    def snapshot(self):
        return replace(
            self.make.snapshot({**self.service, "status": self.status}),
            runtimes=tuple(self.runtimes.values()),
            cluster_runtimes=self.cluster,
            now=self.now,
        )

    def play(self, step):
        """Take a step; return the events of the status that follows."""
        do = step["do"]
        kind = do.get("kind") or (do.get("object") or {}).get("kind")
        if do["verb"] == "delete":
            self.runtimes.pop(do["name"])
        elif kind == "ServingRuntime":
            self.runtimes[step["defaulted"]["metadata"]["name"]] = step["defaulted"]
        elif kind == "InferenceService":
            self.service = step["defaulted"]
        plan = self.plan()
        if plan.stopped:
            self.observed = NOTHING
        elif plan.workloads:
            self._follow(plan, do)
        return self._write(plan)

    def _follow(self, plan, do):
        """Old replicas stay until new ones are ready; a pod fails by its containers' states."""
        old = [r for w in self.observed.workloads for r in w.replicas]
        kept = [r for r in old if r.template_hash != plan.workloads[0].template_hash and r.ready]
        if do.get("then") or do.get("ready"):
            self.observed = self.make.observed(plan, self.make.replica(plan))
        elif do.get("initContainerStatuses"):
            download = fetch_of(do["initContainerStatuses"]["storage-initializer"], self.now)
            self.observed = self.make.observed(plan, *kept, download=download)
        elif do.get("containerStatuses"):
            crash = crash_of(self.make, plan, do["containerStatuses"]["kserve-container"], self.now)
            self.observed = self.make.observed(plan, *kept, crash)
        elif [w.template_hash for w in self.observed.workloads] not in (
            [],
            ["v1-before"],
            [plan.workloads[0].template_hash],
        ):
            self.observed = self.make.observed(plan, *kept, template_hash="v1-before")

    def _write(self, plan):
        self.now += 60
        before, snapshot = self.status, self.snapshot()
        self.status = derive_status(snapshot, plan, self.observed)
        return derive_events(before, self.status, plan, self.observed)


def fetch_of(container, now):
    """The state of the init container as that of the download."""
    ended = container["state"].get("terminated")
    if ended is None:
        return Link(LinkState.RUNNING, "Downloading", since=now)
    return Link(LinkState.FAILED, "DownloadFailed", ended["message"], now)


def crash_of(make, plan, container, now):
    """The state of the server's container as that of a replica whose process has ended."""
    ended = container["state"].get("terminated") or container["lastState"]["terminated"]
    last = Exit(
        code=ended["exitCode"],
        reason=ended["reason"],
        last_lines=tuple(ended.get("message", "").splitlines()),
        started_at=now - 2,
        finished_at=now - 1,
    )
    return make.crash(plan, 1, last_exit=last)


def told(status):
    return {c["type"]: c["status"] for c in status["conditions"]}


def expected_conditions(status):
    """Without IngressReady where the Gateway API's route outlives the replicas behind it.

    (KServe leaves it out of a service that was created stopped, too.)
    """
    found = told(status)
    lost = found["PredictorReady"] == "False" and found.get("IngressReady") == "True"
    return {k: v for k, v in found.items() if not (lost and k == "IngressReady")}


def readiness(events):
    """What is said of readiness, but for the ingress, which outlives its replicas there."""
    said = [message for reason, message in events if reason.startswith("InferenceService")]
    return [message.replace("IngressReady, ", "") for message in said]


@pytest.mark.parametrize("set_up", ["standard-ingress", "standard-gateway"])
@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_kserve_s(make, golden, golden_folder, installed, set_up, name):
    path = f"lifecycle/{set_up}/{name}.json"
    if not (golden_folder / path).is_file():
        pytest.skip(f"{path} was not recorded")
    stage = Stage(make, installed)
    for number, step in enumerate(golden(path)["steps"]):
        events = stage.play(step)
        at = f"{name}, step {number}"
        assert expected_conditions(step["status"]).items() <= told(stage.status).items(), at
        assert readiness((e.reason, e.message) for e in events) == readiness(
            (e["reason"], e["message"]) for e in step["events"]
        ), at
        if (name, number) not in LATER | OUT_OF_MEMORY:
            expected, found = step["status"]["modelStatus"], stage.status["modelStatus"]
            assert found["transitionStatus"] == expected["transitionStatus"], at
            assert found.get("states") == expected.get("states"), at
