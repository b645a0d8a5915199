"""A recorded life of a service, played: edits as they were answered, pods that come or fail.

What a step does to pods becomes what would be observed here; the decisions, the status and the
events are the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sampan.api.config import parse_cached
from sampan.plan.observed import (
    NOTHING,
    Exit,
    Link,
    LinkState,
    Observed,
    ObservedReplica,
    ObservedWorkload,
)
from sampan.plan.types import Plan

from .rollout_stage import DONE, RolloutStage

PULLING = frozenset({"ImagePullBackOff", "ErrImagePull"})
_Replica = tuple[str, str]
"""A workload and the hash of a template of it."""


@dataclass
class StoryStage(RolloutStage):
    """The stage of one story. `data` is the configuration, as texts."""

    data: Mapping[str, str] = field(default_factory=dict)
    runtimes: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[_Replica, dict[str, Any]] = field(default_factory=dict)
    """What the containers of a replica that fails were said to be, by name."""

    def play(self, step: dict[str, Any]) -> None:
        """Take a step."""
        do = step["do"]
        kind = do.get("kind") or (do.get("object") or {}).get("kind")
        if do["verb"] == "delete" and kind == "ServingRuntime":
            self.runtimes.pop(do["name"], None)
        elif step.get("defaulted") and kind == "ServingRuntime":
            self.runtimes[step["defaulted"]["metadata"]["name"]] = step["defaulted"]
        elif step.get("defaulted") and kind == "InferenceService":
            self._take(step["defaulted"])
        self.settle()
        if do.get("containerStatuses") or do.get("initContainerStatuses"):
            self._fail(do)
        elif do.get("then") or do.get("ready"):
            self._make_ready(do.get("ready") or True)
        self.settle()

    def snapshot(self) -> Any:
        """Return all that the next decision knows."""
        snapshot = super().snapshot()
        if self.plan and self.plan.stopped:
            snapshot = replace(snapshot, observed=NOTHING)
        runtimes = tuple(self.runtimes.values())
        return replace(snapshot, config=parse_cached(self.data).config, runtimes=runtimes)

    def observed(self, plan: Plan) -> Observed:
        """Return what is seen: of those that fail, how."""
        seen = super().observed(plan)
        wanted = {(w.name, w.template_hash): w.replicas for w in plan.workloads}
        workloads = tuple(self._failing(_counted(w, wanted)) for w in seen.workloads)
        passes = any(r.ready for w in workloads for r in w.replicas)
        return Observed(workloads, DONE if passes else Link())

    def _take(self, service: dict[str, Any]) -> None:
        generation = int(self.service.get("metadata", {}).get("generation", 0)) + 1
        metadata = {**service["metadata"], "generation": generation, "uid": "u"}
        self.service = {**service, "metadata": metadata}

    def _make_ready(self, names: Any) -> None:
        """Make replicas ready, of all or of these, and what is started because of that."""
        for _ in range(3):
            chosen = [k for k in self.replicas if names is True or _is_of(k[0], names)]
            self.replicas |= dict.fromkeys(chosen, True)
            for key in chosen:
                self.failures.pop(key, None)
            self.settle()

    def _fail(self, do: dict[str, Any]) -> None:
        """Let the newest template of a workload fail as the containers were said to."""
        assert self.plan
        states = {**(do.get("initContainerStatuses") or {}), **(do.get("containerStatuses") or {})}
        for workload in self.plan.workloads:
            if _is_of(workload.name, [do["workload"]]):
                key = (workload.name, workload.template_hash)
                self.replicas[key] = False
                self.failures[key] = states
                return
        raise AssertionError(f"no workload {do['workload']} in {self.plan.workloads}")

    def _failing(self, workload: ObservedWorkload) -> ObservedWorkload:
        replicas = tuple(self._as_failing(r) for r in workload.replicas)
        told = self.failures.get((workload.name, workload.template_hash), {})
        fetching = told.get("storage-initializer")
        download = _make_download(fetching, self.now) if fetching else DONE
        if download is not DONE:
            replicas = tuple(r for r in replicas if r.template_hash != workload.template_hash)
        pulling = any(_waits_for(s) & PULLING for s in told.values())
        environment = Link(LinkState.RUNNING, "Pulling", since=self.now) if pulling else DONE
        return replace(workload, replicas=replicas, download=download, environment=environment)

    def _as_failing(self, replica: ObservedReplica) -> ObservedReplica:
        told = self.failures.get((replica.workload, replica.template_hash), {})
        container = told.get("kserve-container")
        ended = container and _ended(container)
        if not ended:
            return replica
        last = Exit(
            code=ended["exitCode"],
            reason=ended["reason"],
            last_lines=tuple(ended.get("message", "").splitlines()),
            started_at=self.now - 2,
            finished_at=self.now - 1,
        )
        load = Link(LinkState.FAILED, last.reason, ended.get("message", ""), self.now)
        return replace(
            replica, running=False, ready=False, restarts=1, last_exit=last, load=load,
            back_off_until=self.now + 10, routed=False,
        )  # fmt: skip


def _counted(workload: ObservedWorkload, wanted: Mapping[_Replica, int]) -> ObservedWorkload:
    """As many replicas as are wanted; those that are not ready wait, as pods without a status."""
    replicas = tuple(
        replace(r, name=f"{r.name}-{n}")
        if r.ready
        else replace(r, name=f"{r.name}-{n}", running=False, load=Link())
        for r in workload.replicas
        for n in range(wanted.get((r.workload, r.template_hash), 1))
    )
    return replace(workload, replicas=replicas)


def _is_of(workload: str, names: list[str]) -> bool:
    """Tell whether a workload is one of these, or a revision of one."""
    return any(workload == name or workload.startswith(f"{name}-0") for name in names)


def _ended(container: dict[str, Any]) -> dict[str, Any] | None:
    """How a container ended last, by its state or the state before."""
    states = (container.get("state") or {}, container.get("lastState") or {})
    return next((s["terminated"] for s in states if "terminated" in s), None)


def _waits_for(container: dict[str, Any]) -> frozenset[str]:
    waiting = (container.get("state") or {}).get("waiting") or {}
    return frozenset({waiting.get("reason", "")})


def _make_download(container: dict[str, Any], now: float) -> Link:
    """The state of the init container as that of the download."""
    ended = _ended(container)
    if ended is None:
        return Link(LinkState.RUNNING, "Downloading", since=now)
    if ended["exitCode"] == 0:
        return DONE
    return Link(LinkState.FAILED, "DownloadFailed", ended.get("message", ""), now)
