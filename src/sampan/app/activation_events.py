"""What a cluster's activator records about a service: each change of a size, with its numbers."""

from __future__ import annotations

from sampan.app.activation_scales import Wanted
from sampan.app.activation_view import make_owner
from sampan.machinery.events import EventRecorder
from sampan.plan.events import NORMAL, WARNING, PlannedEvent
from sampan.plan.scaling import Scale
from sampan.platforms.kubernetes.serverless_table import Served

RESCALED, NOT_RESCALED = "SuccessfulRescale", "FailedRescale"
"""Kubernetes's own reasons for events of an autoscaler."""
CORRECTED = "ChildCorrected"


class ActivationEvents:
    """Events of the InferenceServices that workloads belong to. `recorder` is set before any."""

    recorder: EventRecorder

    async def rescaled(self, one: Served, scale: Scale) -> None:
        """Record that a workload is to have another size."""
        text = f'New size of "{one.name}": {scale.replicas}; reason: {scale.reason}'
        await self._record(one, PlannedEvent(NORMAL, RESCALED, text))

    async def failed(self, wanted: Wanted, why: str) -> None:
        """Record that a size cannot be written."""
        text = f'New size of "{wanted.one.name}": {wanted.replicas}; it cannot be written: {why}'
        await self._record(wanted.one, PlannedEvent(WARNING, NOT_RESCALED, text))

    async def corrected(self, one: Served, agreed: int) -> None:
        """Record that somebody gave a workload another size, and that it does not stay."""
        text = (
            f'Deployment "{one.name}": somebody asked for {one.replicas} replicas, and it gets '
            f"{agreed} again, for they follow its requests; change minReplicas and maxReplicas"
        )
        await self._record(one, PlannedEvent(WARNING, CORRECTED, text))

    async def _record(self, one: Served, event: PlannedEvent) -> None:
        owner = make_owner(one)
        if owner is not None:
            await self.recorder.record(owner, event)
